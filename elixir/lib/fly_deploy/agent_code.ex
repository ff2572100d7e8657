defmodule FlyDeploy.AgentCode do
  @moduledoc false

  # The agent that upgrades a VM, as a console has left it in the bucket: compiled, by the Elixir and OTP that it is for.

  alias FlyDeploy.{Json, Metadata, Settings, Storage}

  @name :flydeploy_agent
  # The process that removes the last agent's modules.
  @sweeper :flydeploy_sweeper
  # The modules' names carry a hash of their source: those of two versions never meet.
  @prefix "Elixir.FlyDeployAgent_"
  # It has about 90 KB.
  @max_bytes 4 * 1024 * 1024

  @type t :: %{main: module, modules: [{module, binary}]}

  @doc "Reads and checks it. `:unfetched` is what may pass, `:refused` is not."
  @spec fetch(Settings.t(), Metadata.agent()) :: {:ok, t} | {:unfetched | :refused, String.t()}
  def fetch(settings, agent) do
    with :ok <- fits(agent, System.otp_release(), System.version()),
         {:key, {:ok, key}} <- {:key, Storage.key(agent.url, settings.bucket)},
         {:ok, bytes} <- Storage.fetch(settings, key, "the agent", agent.size, agent.sha256) do
      decode(bytes)
    else
      {:key, {:error, _}} -> {:refused, "the agent's url is not an object in the bucket #{settings.bucket}"}
      {:error, text} -> {:unfetched, text}
      {:refused, text} -> {:refused, text}
    end
  end

  @doc """
  Whether this VM can run it.

      iex> agent = %{url: "", sha256: "", size: 90_000, otp: "27", elixir: "1.18.4"}
      iex> FlyDeploy.AgentCode.fits(agent, "27", "1.18.4")
      :ok
      iex> FlyDeploy.AgentCode.fits(agent, "26", "1.18.4")
      {:refused, "the agent was compiled with Elixir 1.18.4 and OTP 27, not with Elixir 1.18.4 and OTP 26, which run"}
  """
  @spec fits(Metadata.agent(), String.t(), String.t()) :: :ok | {:refused, String.t()}
  def fits(%{size: size}, _otp, _elixir) when size > @max_bytes,
    do: {:refused, "the agent has #{size} bytes: that is none"}

  def fits(%{otp: otp, elixir: elixir}, otp, elixir), do: :ok

  def fits(agent, otp, elixir) do
    {:refused,
     "the agent was compiled with Elixir #{agent.elixir} and OTP #{agent.otp}, " <>
       "not with Elixir #{elixir} and OTP #{otp}, which run"}
  end

  # Only bytes whose sha256 is the recorded one come here.
  defp decode(bytes) do
    with {:flydeploy_agent, 1, main, [_ | _] = modules} <- :erlang.binary_to_term(bytes),
         true <- Enum.all?([{main, ""} | modules], &ours?/1) do
      {:ok, %{main: main, modules: modules}}
    else
      _ -> {:refused, "the agent in the bucket has another form than this version of fly_deploy reads"}
    end
  rescue
    ArgumentError -> {:refused, "the agent in the bucket is not an Erlang term"}
  end

  defp ours?({module, beam}),
    do: is_atom(module) and is_binary(beam) and String.starts_with?(Atom.to_string(module), @prefix)

  defp ours?(_), do: false

  @doc "Loads it and starts it with an order, unless there is an agent at work. Gives its folder."
  @spec start(t, binary) :: {:ok, Path.t()} | {:busy | :refused, String.t()}
  def start(code, order) do
    # Consoles do the same under the same lock.
    :global.trans({@name, self()}, fn -> start_alone(code, order) end, [node()])
  end

  defp start_alone(code, order) do
    with nil <- Process.whereis(@name),
         :ok <- load(code.modules) do
      case code.main.start(order, &sweep/3) do
        {"started", json} ->
          {:ok, %{"dir" => dir}} = Json.decode(json)
          {:ok, dir}

        {"refused", json} ->
          {:ok, %{"what" => what}} = Json.decode(json)
          {:refused, what}

        :taken ->
          {:busy, "another agent is at work in this VM"}
      end
    else
      pid when is_pid(pid) -> {:busy, "another agent is at work in this VM"}
      {:error, text} -> {:refused, text}
    end
  end

  defp load(modules) do
    missing = Enum.reject(modules, fn {module, _} -> :erlang.module_loaded(module) end)
    # What a sweeper has deleted, and could not purge: code cannot be loaded beside it.
    for {module, _} <- missing, :erlang.check_old_code(module), do: :code.soft_purge(module)

    with {:error, [{module, reason} | _]} <-
           :code.atomic_load(for {module, beam} <- missing, do: {module, [], beam}),
         do: {:error, "the agent's #{inspect(module)} cannot be loaded: #{reason}"}
  end

  # The agent has this called when it starts: its folder and its modules are removed once both of its processes have ended.
  defp sweep(agent, guardian, dir) do
    sweeper = spawn(fn -> await_and_remove(agent, guardian, dir) end)

    # The one before ends at its next module, or has ended.
    try do
      Process.unregister(@sweeper)
    rescue
      ArgumentError -> nil
    end

    Process.register(sweeper, @sweeper)
  end

  defp await_and_remove(agent, guardian, dir) do
    Process.group_leader(self(), Process.whereis(:init))

    for pid <- [agent, guardian] do
      ref = Process.monitor(pid)

      receive do
        {:DOWN, ^ref, _, _, _} -> :ok
      end
    end

    if dir, do: File.rm_rf(dir)

    modules =
      for {module, _} <- :code.all_loaded(), String.starts_with?(Atom.to_string(module), @prefix), do: module

    Enum.all?(modules, fn module ->
      pause = :global.trans({@name, self()}, fn -> remove(module) end, [node()])
      if pause, do: Process.sleep(pause)
      pause
    end)
  end

  # To free a module's code the VM asks every process: one module at a time, below a thirtieth of a core. Gives the pause after it, in
  # milliseconds; nil where a next agent has begun, which uses what is left.
  defp remove(module) do
    if Process.whereis(@name) == nil and Process.whereis(@sweeper) == self() do
      {us, _} =
        :timer.tc(fn ->
          if :erlang.check_old_code(module), do: :code.soft_purge(module)
          :code.delete(module)
          :code.soft_purge(module)
        end)

      max(100, div(us * 30, 1_000))
    end
  end
end
