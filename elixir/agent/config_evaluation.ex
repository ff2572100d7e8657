defmodule FlyDeployAgent.ConfigEvaluation do
  @moduledoc """
  Evaluates configurations of releases as a boot does, in a scratch VM (`FlyDeployAgent.ConfigScratch`), with what applications have in
  their `.app` files below.
  """

  alias FlyDeployAgent.{
    Beside,
    ConfigFile,
    ConfigScratch,
    Failure,
    FreeMemory,
    Release,
    ScratchPort,
    ScratchVm
  }

  @modules [ConfigScratch, ConfigFile, Failure, ScratchPort]
  # Bytes: what must be free for the scratch VM, and the most that it may take.
  @needed 45 * 1_048_576
  @most 200 * 1_048_576
  # Of everything; until the VM answers; for one evaluation.
  @limits %{total_ms: 40_000, boot_ms: 15_000, answer_ms: 15_000}

  @typedoc "What an evaluation gave: settings by application and key, and the environment's variables; and keys that were compiled in otherwise."
  @type told :: %{
          :config => %{{atom, atom} => term},
          :env => %{binary => binary},
          optional(:compile_env) => [{atom, atom}]
        }

  @doc "How long `run/4` takes at most, in milliseconds."
  @spec most_ms() :: pos_integer
  def most_ms, do: @limits.total_ms

  @doc """
  The configuration that runs, and the one of the release that was extracted to `dir`, with changes of the modules `changed`, the latter twice:
  what differs between two evaluations of the same does so at every boot. `code` gives the agent's own modules, see `FlyDeployAgent.OwnCode`.
  """
  @spec run(
          map,
          map,
          %{dir: Path.t(), changed: [module]},
          (() -> {:ok, [{module, binary}]} | {:error, binary})
        ) ::
          {:ok, {told, told, told}} | {:error, binary}
  def run(running, new, release, code),
    do: bounded(fn asker -> evaluate(running, new, release, code, asker) end)

  # In a process that owns the VM; whoever asks may be killed, and takes both along.
  defp bounded(fun) do
    asker = self()

    work = fn ->
      Process.flag(:trap_exit, true)
      fun.(asker)
    end

    case Beside.run(work, @limits.total_ms) do
      {:ok, told} ->
        told

      {:raised, kind, _reason, stack} ->
        {:error, "the agent failed with a #{kind} at #{stack |> Failure.stack() |> List.first()}"}

      :killed ->
        {:error, "whoever evaluated it was killed"}

      :late ->
        {:error, "evaluating it took longer than #{div(@limits.total_ms, 1_000)} s"}
    end
  end

  defp evaluate(running, new, %{dir: dir} = release, code, asker) do
    scratch = Path.join(dir, "config-scratch")

    with {:ok, most} <- room(FreeMemory.bytes()),
         {:ok, code} <- code.(),
         {:ok, vm} <- start(code, scratch, most, asker) do
      old = ask(vm, running, scratch, %{apps: specs(), paths: [], drop: []}, "the configuration that runs")
      about = %{apps: specs(dir), paths: paths(dir), drop: release.changed}
      told = with {:ok, old} <- old, do: twice(vm, new, scratch, about, old)
      ScratchVm.stop(vm)
      told
    end
  end

  defp room(free) when free == nil or free >= @needed, do: {:ok, min(free || @most, @most)}

  defp room(free),
    do:
      {:error, "#{div(free, 1_048_576)} MB of memory are free, and #{div(@needed, 1_048_576)} MB are needed"}

  defp start(code, dir, most, asker) do
    ScratchVm.start(%{
      code: for({m, _} = own <- code, m in @modules, do: own),
      main: ConfigScratch,
      dir: dir,
      most: most,
      boot_ms: @limits.boot_ms,
      life_ms: @limits.total_ms,
      with: [asker],
      # As at a boot: a provider may fetch something, and what is looked up must be found.
      network: true
    })
  end

  defp twice(vm, new, scratch, about, old) do
    with {:ok, one} <- ask(vm, new, scratch, about, "the new configuration"),
         {:ok, two} <- ask(vm, new, scratch, about, "the new configuration"),
         do: {:ok, {defaults(specs(), old), defaults(about.apps, one), defaults(about.apps, two)}}
  end

  defp ask(vm, %{vsn: vsn} = file, scratch, about, what) do
    asked =
      Map.merge(about, %{
        file: file,
        env: Map.put(System.get_env(), "RELEASE_VSN", vsn),
        cwd: File.cwd!(),
        dir: scratch
      })

    case ScratchVm.ask(vm, {:evaluate, asked}, @limits.answer_ms) do
      {:ok, {:ok, told}} -> {:ok, told}
      {:ok, {:error, text}} -> {:error, "#{what} cannot be evaluated: #{text}"}
      {:gone, why} -> {:error, "#{what} cannot be evaluated: the scratch VM #{gone(why)}"}
    end
  end

  defp gone("it " <> why), do: why
  defp gone(why), do: "has gone: " <> why

  # What applications have in their `.app` files lies below.
  defp defaults(specs, %{config: config} = told) do
    own = for {:application, app, keys} <- specs, is_list(keys[:env]), do: {app, keys[:env]}

    flat = for {app, settings} <- own ++ config, {key, value} <- settings, into: %{}, do: {{app, key}, value}

    %{told | config: flat}
  end

  # Those that are loaded, as their files describe them, and as the new release's do. OTP's and Elixir's are the same.
  defp specs do
    for {app, _, _} <- :application.loaded_applications(),
        dir = Release.app_dir(app),
        dir != nil,
        spec <- spec(Path.join(dir, "ebin/#{app}.app")),
        do: spec
  end

  defp specs(dir) do
    new =
      for file <- Path.wildcard(Path.join(dir, "lib/*/ebin/*.app")),
          {_, app, _} = spec <- spec(file),
          Release.origin(app) == :library,
          do: spec

    names = MapSet.new(new, &elem(&1, 1))
    new ++ Enum.reject(specs(), &(elem(&1, 1) in names))
  end

  defp spec(file) do
    case :file.consult(file) do
      {:ok, [{:application, _, keys} = spec]} when is_list(keys) -> [spec]
      _ -> []
    end
  end

  defp paths(dir),
    do:
      Path.wildcard(Path.join(dir, "releases/*/consolidated")) ++ Path.wildcard(Path.join(dir, "lib/*/ebin"))
end
