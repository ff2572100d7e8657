defmodule FlyDeployAgent.AppConfig do
  @moduledoc """
  Configuration that a deploy applies (`--apply-config`): that of the new release is evaluated as at its boot, in a scratch VM
  (`FlyDeployAgent.ConfigScratch`), and so is the one that this VM was started with. Where the two differ, applications get
  the new values: what an application has set itself, and the release does not, stays.

  Values are kept in functions: so no log, and nothing that is told, can show them.

    * `keys` – `{app, key, :changed | :new | :removed}`, what is applied; `cold` – `{app, key}` that only a boot applies
    * `unsteady` – `{app, key}` that have another value whenever they are evaluated, and stay as they are
    * `variables` – names of environment variables that a boot would set otherwise
    * `values` – a function that gives what to put: `%{{app, key} => {:ok, value} | :unset}`
  """

  alias FlyDeployAgent.{ConfigFile, ConfigScratch, Failure, FreeMemory, Release, ScratchPort, ScratchVm}

  @modules [ConfigScratch, ConfigFile, Failure, ScratchPort]
  # Bytes: what must be free for the scratch VM, and the most that it may take.
  @needed 45 * 1_048_576
  @most 200 * 1_048_576
  # Of everything; until the VM answers; for one evaluation.
  @limits %{total_ms: 40_000, boot_ms: 15_000, answer_ms: 15_000}
  # In the window: nobody but OTP's application controller is waited for, and not for long.
  @put_ms 500
  @told_ms 5_000
  # Where the VM keeps which configuration it has, as it was built; and what of Elixir's logger can be set while it runs.
  @own :flydeploy
  @key :config
  @logger [:level, :truncate, :translator_inspect_opts]

  @enforce_keys [:keys, :values]
  defstruct @enforce_keys ++ [cold: [], unsteady: [], variables: []]

  @type put :: (() -> %{{atom, atom} => {:ok, term} | :unset})
  @type t :: %__MODULE__{
          keys: [{atom, atom, :changed | :new | :removed}],
          values: put,
          cold: [{atom, atom}],
          unsteady: [{atom, atom}],
          variables: [binary]
        }

  @typedoc "What was found, or why nothing was; nil where nobody has asked."
  @type found :: {:ok, t} | {:error, binary} | nil

  @doc "Whether an earlier upgrade has applied a configuration in this VM."
  @spec applied?() :: boolean
  def applied?, do: :application.get_env(@own, @key) != :undefined

  @doc """
  What the release that was extracted to `dir`, with changes of the modules `changed`, does to the applications' environments. Without a
  configuration of its own it has that of this VM's image. `code` gives the agent's own modules, see `FlyDeployAgent.OwnCode`.
  """
  @spec find(Path.t(), [module], (() -> {:ok, [{module, binary}]} | {:error, binary})) ::
          found
  def find(dir, changed, code) do
    image = ConfigFile.read(Release.root(), System.get_env("RELEASE_VSN", ""))
    new = ConfigFile.extracted(dir)
    before = with {:ok, file} <- :application.get_env(@own, @key), do: :erlang.binary_to_term(file)
    running = if before == :undefined, do: image, else: before

    if running == (new || image),
      do: {:ok, %__MODULE__{keys: [], values: unchanged(before, image)}},
      else:
        fn asker -> evaluate(running, new || image, %{dir: dir, changed: changed}, code, asker) end
        |> bounded()
        |> found(own(new, image))
  end

  defp unchanged(:undefined, _image), do: fn -> %{} end
  defp unchanged(file, image), do: fn -> %{{@own, @key} => own(file, image)} end

  # What is noted down of a configuration: nothing of the image's, which a restart brings back by itself.
  defp own(file, image) when file in [nil, image], do: :unset
  defp own(file, _image), do: {:ok, ConfigFile.encode(file)}

  # In a process of its own, that owns the VM; whoever asks may be killed, and takes both along.
  defp bounded(fun) do
    {asker, ref} = {self(), make_ref()}

    {pid, monitor} =
      spawn_monitor(fn ->
        Process.flag(:trap_exit, true)
        send(asker, {ref, safely(fn -> fun.(asker) end)})
      end)

    receive do
      {^ref, told} ->
        Process.demonitor(monitor, [:flush])
        told

      {:DOWN, ^monitor, :process, _, _} ->
        {:error, "whoever evaluated it was killed"}
    after
      @limits.total_ms ->
        Process.demonitor(monitor, [:flush])
        Process.exit(pid, :kill)
        {:error, "evaluating it took longer than #{div(@limits.total_ms, 1_000)} s"}
    end
  end

  defp safely(fun) do
    fun.()
  catch
    kind, _reason ->
      {:error, "the agent failed with a #{kind} at #{__STACKTRACE__ |> Failure.stack() |> List.first()}"}
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

  # What differs between two evaluations of the same does so at every boot.
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

  # -- the difference

  defp found({:error, text}, _new), do: {:error, text}

  defp found({:ok, {_old, %{compile_env: [_ | _] = keys}, _two}}, _new) do
    {:error,
     "the new code was compiled with other values of #{Enum.map_join(keys, ", ", &setting/1)}: the release would not boot with it"}
  end

  defp found({:ok, {old, new, again}}, own) do
    names = Enum.uniq(Map.keys(old.config) ++ Map.keys(new.config))
    differing = for name <- names, fetch(old, name) != fetch(new, name), do: name
    {cold, hot} = Enum.split_with(differing, &cold?/1)
    {unsteady, hot} = Enum.split_with(hot, &(fetch(new, &1) != fetch(again, &1) and current(&1) != :unset))
    values = for name <- hot, fetch(new, name) != current(name), into: %{}, do: {name, fetch(new, name)}
    keys = for {{app, key} = name, value} <- values, do: {app, key, kind(current(name), value)}
    all = Map.put(values, {@own, @key}, own)

    {:ok,
     %__MODULE__{
       keys: Enum.sort(keys),
       values: fn -> all end,
       cold: Enum.sort(cold),
       unsteady: Enum.sort(unsteady),
       variables: variables(old.env, new.env)
     }}
  end

  defp fetch(%{config: config}, name), do: with(:error <- Map.fetch(config, name), do: :unset)

  defp current({app, key}), do: with(:undefined <- :application.get_env(app, key), do: :unset)

  defp kind(:unset, _value), do: :new
  defp kind(_now, :unset), do: :removed
  defp kind(_now, _value), do: :changed

  # OTP's and Elixir's own are read when they start.
  defp cold?({:logger, key}), do: key not in @logger
  defp cold?({app, _key}), do: Release.origin(app) != :library

  defp variables(old, new) do
    for name <- Map.keys(Map.merge(old, new)), name != "RELEASE_VSN", old[name] != new[name], do: name
  end

  # -- the plan

  @doc "What a plan tells: keys, never values."
  @spec findings(found) :: [map]
  def findings(nil) do
    if applied?(),
      do: [
        finding(
          "config_lost",
          :block,
          "this VM",
          "has the configuration of an earlier upgrade, which its next restart would lose: deploy with --apply-config"
        )
      ],
      else: []
  end

  def findings({:error, text}), do: [finding("config_fails", :refuse, "--apply-config", text)]

  def findings({:ok, config}) do
    applied =
      for {app, keys} <- by_app(config.keys),
          do: finding("config_applied", :info, inspect(app), applied(app, keys))

    Enum.concat([
      applied,
      about(config.cold, "differs in #{some(config.cold)}, which only a boot applies"),
      about(
        config.variables,
        "sets #{Enum.join(config.variables, ", ")} in the environment, which only a boot does"
      ),
      for(
        {app, key} <- config.unsteady,
        do:
          finding(
            "config_unsteady",
            :warn,
            setting({app, key}),
            "has another value each time that it is evaluated, and stays as it is until the next boot"
          )
      )
    ])
  end

  defp about([], _detail), do: []
  defp about(_names, detail), do: [finding("config_changed", :block, "configuration", detail)]

  defp applied(app, keys) do
    what =
      for {kind, word} <- [changed: "changes", new: "adds", removed: "removes"],
          [_ | _] = names <- [for({key, ^kind} <- keys, do: inspect(key))],
          do: "#{word} #{Enum.join(names, ", ")}"

    Enum.join(what, "; ") <> ", " <> teller(app)
  end

  defp teller(:logger), do: "by Logger.configure/1"

  defp teller(app) do
    case module(app) do
      nil -> "and nobody is told: the application that runs has no config_change/3"
      module -> "and calls #{inspect(module)}.config_change/3"
    end
  end

  # The module of an application that runs, if it wants to be told. Which it is, the new code decides as a rule as the running one does.
  defp module(app) do
    with {:ok, {module, _}} <- :application.get_key(app, :mod),
         true <- List.keymember?(:application.which_applications(), app, 0),
         true <- function_exported?(module, :config_change, 3),
         do: module,
         else: (_ -> nil)
  end

  defp by_app(keys), do: Enum.group_by(keys, &elem(&1, 0), fn {_, key, kind} -> {key, kind} end)

  defp some(names), do: Enum.map_join(names, "; ", &setting/1)
  defp setting({app, key}), do: "#{inspect(app)}, #{inspect(key)}"

  defp finding(name, severity, subject, detail),
    do: %{name: name, severity: severity, subject: subject, detail: detail}

  @doc "Whether a commit changes any setting."
  @spec changes?(found) :: boolean
  def changes?({:ok, %{keys: [_ | _]}}), do: true
  def changes?(_found), do: false

  @doc "A setting as it will be after the commit, as `Application.fetch_env/2` gives it."
  @spec fetch_env(found, atom, atom) :: {:ok, term} | :error
  def fetch_env({:ok, %{values: values}}, app, key) do
    case values.() do
      %{{^app, ^key} => {:ok, value}} -> {:ok, value}
      %{{^app, ^key} => :unset} -> :error
      _ -> Application.fetch_env(app, key)
    end
  end

  def fetch_env(_found, app, key), do: Application.fetch_env(app, key)

  @doc "Applications' environments as they will be after the commit."
  @spec env(found, [{atom, keyword}]) :: [{atom, keyword}]
  def env({:ok, %{values: values}}, env) do
    values = for {{app, key}, value} <- values.(), app != @own, do: {app, key, value}
    apps = Enum.uniq(Enum.map(env, &elem(&1, 0)) ++ Enum.map(values, &elem(&1, 0)))

    for app <- apps do
      settings = Keyword.get(env, app, [])

      {app,
       for {^app, key, value} <- values, reduce: settings do
         settings ->
           case value do
             {:ok, value} -> Keyword.put(settings, key, value)
             :unset -> Keyword.delete(settings, key)
           end
       end}
    end
  end

  def env(_found, env), do: env

  # -- the window

  @typedoc "For a window: what to put, and what takes it back; nil where nothing is applied."
  @type both :: %{put: put, back: put} | nil

  @doc "For a window that begins now."
  @spec both(found) :: both
  def both({:ok, config}), do: %{put: config.values, back: now(config)}
  def both(_found), do: nil

  @doc "Within the window: applies it."
  @spec apply_all(both) :: :ok | {:error, binary}
  def apply_all(nil), do: :ok
  def apply_all(%{put: put}), do: put(put)

  @doc "Within the window: takes it back. A second time it changes nothing."
  @spec take_back(both) :: :ok | {:error, binary}
  def take_back(nil), do: :ok
  def take_back(%{back: back}), do: put(back)

  @doc """
  What is told where `take_back/1` was not answered: then everything runs, and perhaps finds the new settings, until OTP's application
  controller has done what it was asked.
  """
  @spec not_back(:ok | {:error, binary}) :: [map]
  def not_back(:ok), do: []
  def not_back({:error, text}), do: [%{reason: "config_not_back", exception: text}]

  @doc "What these settings are now: what `put/1` takes back."
  @spec now(t) :: put
  def now(%__MODULE__{values: values}) do
    now = Map.new(values.(), fn {name, _} -> {name, current(name)} end)
    fn -> now end
  end

  @doc """
  Puts settings into the applications' environments, in one request to OTP's application controller, and one for each that goes. As at
  a boot they stay when an application is loaded again.
  """
  @spec put(put) :: :ok | {:error, binary}
  def put(values) do
    {gone, there} = Enum.split_with(values.(), fn {_, value} -> value == :unset end)
    options = [persistent: true]

    by_app =
      Enum.group_by(there, fn {{app, _}, _} -> app end, fn {{_, key}, {:ok, value}} -> {key, value} end)

    requests = [
      (&:application.set_env(Enum.to_list(by_app), [{:timeout, &1} | options]))
      | for({{app, key}, :unset} <- gone, do: &:application.unset_env(app, key, [{:timeout, &1} | options]))
    ]

    case Enum.reduce(requests, @put_ms, &ask/2) do
      0 -> {:error, "OTP's application controller did not answer within #{@put_ms} ms"}
      _answered -> :ok
    end
  end

  # What was asked is done later all the same, before what is asked after it: all of it is asked, though nobody waits any more.
  defp ask(request, timeout) do
    :ok = request.(timeout)
    timeout
  catch
    :exit, _ -> 0
  end

  @doc """
  Tells the applications that run, as OTP's application controller does after an upgrade of a release: `config_change(changed, new,
  removed)` of each application's module. It is the application's code: beside the agent, and bounded. Gives the modules that failed.
  """
  @spec tell(found) :: [module]
  def tell({:ok, %__MODULE__{keys: keys, values: values}}) do
    values = values.()

    for {app, keys} <- by_app(keys),
        module = told(app),
        module != nil,
        not told?(module, app, keys, values),
        do: module
  end

  def tell(_found), do: []

  defp told(:logger), do: Logger
  defp told(app), do: module(app)

  defp told?(module, app, keys, values) do
    {changed, new, removed} =
      {of(:changed, app, keys, values), of(:new, app, keys, values), for({key, :removed} <- keys, do: key)}

    beside(fn ->
      if app == :logger,
        do: Logger.configure(changed ++ new),
        else: module.config_change(changed, new, removed)
    end)
  end

  defp of(kind, app, keys, values) do
    for {key, ^kind} <- keys do
      {:ok, value} = values[{app, key}]
      {key, value}
    end
  end

  # Its reason may hold a value: nobody logs how it ended.
  defp beside(fun) do
    {pid, ref} =
      spawn_monitor(fn ->
        try do
          fun.()
          exit(:told)
        catch
          :exit, :told -> exit(:told)
          _, _ -> exit(:shutdown)
        end
      end)

    receive do
      {:DOWN, ^ref, :process, ^pid, reason} -> reason == :told
    after
      @told_ms ->
        Process.demonitor(ref, [:flush])
        Process.exit(pid, :kill)
        false
    end
  end
end
