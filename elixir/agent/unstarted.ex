defmodule FlyDeployAgent.Unstarted do
  @moduledoc """
  Children that a deploy, or the startup hook, was to start and that have not started: their supervisors keep them without a process, and would
  never start them by themselves. The next deploy says so, and tries them again.

  They are remembered in the application environment, until the VM ends, as `FlyDeployAgent.Fence` has it: an agent does not live that long.
  """

  alias FlyDeployAgent.Rounds

  @app :flydeploy
  @key :unstarted
  # How long supervisors may take to tell. One that does not answer may still wait for the child.
  @answer_ms 500

  @typedoc "`root` is the function that names the child, see `FlyDeployAgent.AppChildren`; `why`, what has kept it from starting."
  @type child :: %{supervisor: pid, id: term, root: mfa, why: binary}

  @doc "Remembers a child, or what is known of it now."
  @spec note(pid, term, mfa, why :: binary) :: any
  def note(supervisor, id, root, why),
    do: put([%{supervisor: supervisor, id: id, root: root, why: why} | without(supervisor, id)])

  @doc "Forgets a child: it runs, or is no longer one."
  @spec forget(pid, term) :: any
  def forget(supervisor, id), do: put(without(supervisor, id))

  @doc "Those that still do not run. Whose supervisor has ended was started anew with it, or not, by others."
  @spec all() :: [child]
  def all do
    kept = kept()
    living = for %{supervisor: pid} <- kept, Process.alive?(pid), uniq: true, do: pid
    told = Map.new(Rounds.inside(for(pid <- living, do: {pid, &idle/1}), @answer_ms))

    for %{supervisor: pid, id: id} = child <- kept, pid in living, id in Map.get(told, pid, [id]), do: child
  end

  # Runs in the supervisor.
  defp idle(state) do
    {_ids, children} = elem(state, 3)
    for {id, child} <- children, elem(child, 1) == :undefined, do: id
  end

  defp without(supervisor, id), do: Enum.reject(kept(), &match?(%{supervisor: ^supervisor, id: ^id}, &1))
  defp kept, do: Application.get_env(@app, @key, [])

  defp put([]), do: Application.delete_env(@app, @key)
  defp put(children), do: Application.put_env(@app, @key, children)
end
