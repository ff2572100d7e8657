defmodule FlyDeployAgent.ChildLists do
  @moduledoc """
  The lists of children that code gives: `init/1` of a supervisor's own module, and `children/0` or `children/1` of an application's, see
  `FlyDeployAgent.AppChildren`. Which children the code of before has named is asked while it still runs: what somebody has added by
  `start_child` is not among them, whatever it is called.
  """

  alias FlyDeployAgent.{Beside, Origin, Rounds}

  # Supervisors may take so long to tell their arguments, as may the code to name its children: a busy machine's do.
  @answer_ms 5_000
  @asked_ms 8_000
  # At most this many different arguments of supervisors of one module are tried.
  @arguments 200

  @type id :: term

  @doc "The supervisors of a root, those of `pids` only unless it is nil; with the function that lists an application's children, else nil."
  @spec supervisors(mfa, [pid] | nil) :: [{pid, (() -> [term]) | nil}]
  def supervisors({module, :init, 1}, pids) do
    for pid <- pids || Process.list(),
        match?({:supervisor, ^module, _}, Origin.initial_call(pid)),
        do: {pid, nil}
  end

  def supervisors({module, :start, 2}, _pids) do
    with {:ok, app} <- :application.get_application(module),
         list when list != nil <- list(app, module),
         master when is_pid(master) <- :application_controller.get_master(app),
         {top, _} when is_pid(top) <- :application_master.get_child(master) do
      [{top, list}]
    else
      _ -> []
    end
  end

  defp list(app, module) do
    with {:ok, {^module, argument}} <- :application.get_key(app, :mod) do
      cond do
        function_exported?(module, :children, 0) -> fn -> module.children() end
        function_exported?(module, :children, 1) -> fn -> module.children(argument) end
        true -> nil
      end
    else
      _ -> nil
    end
  end

  @doc """
  The ids that the code which is loaded now gives for a root, of all of its supervisors or of `pids`; `:error` where it does not tell.
  It is the application's code: beside the caller, and bounded.
  """
  @spec named(mfa, [pid] | nil, answer_ms :: pos_integer) :: {:ok, [id]} | :error
  def named(root, pids \\ nil, answer_ms \\ @answer_ms) do
    case Beside.run(fn -> ids(root, pids, answer_ms) end, @asked_ms) do
      {:ok, {:ok, ids}} -> {:ok, ids}
      _ -> :error
    end
  end

  defp ids({module, :start, 2}, _pids, _answer_ms) do
    with {:ok, app} <- :application.get_application(module),
         list when list != nil <- list(app, module),
         do: {:ok, list.() |> specs() |> Enum.map(&id/1)},
         else: (_ -> :error)
  end

  defp ids({module, :init, 1} = root, pids, answer_ms) do
    asked = for {pid, nil} <- supervisors(root, pids), do: {pid, &argument(&1, module)}
    told = Rounds.inside(asked, answer_ms)
    arguments = for {_pid, {:ok, argument}} <- told, uniq: true, do: argument

    if length(told) == length(asked) and length(arguments) <= @arguments,
      do: {:ok, for(argument <- arguments, spec <- given(module.init(argument)), uniq: true, do: id(spec))},
      else: :error
  end

  defp given({:ok, {_flags, specs}}), do: specs
  defp given(:ignore), do: []

  @doc "The children of all supervisors of a root that run: their ids, modules and pids."
  @spec running(mfa) :: [{id, module, pid}]
  def running(root) do
    asked = for {pid, _} <- supervisors(root, nil), do: {pid, &processes/1}
    for {_supervisor, children} <- Rounds.inside(asked, @answer_ms), child <- children, do: child
  end

  # Runs in the supervisor, as `argument/2` does.
  defp processes(state) do
    with true <- is_tuple(state) and tuple_size(state) > 8,
         {_ids, %{} = children} <- elem(state, 3) do
      for {id, child} <- children,
          pid = elem(child, 1),
          is_pid(pid),
          do: {id, child |> elem(3) |> elem(0), pid}
    else
      _ -> []
    end
  end

  defp argument(state, module) do
    case place(state, module) do
      nil -> :none
      at -> {:ok, elem(state, at + 1)}
    end
  end

  @doc "Where in supervisor's record its module stands, which its argument follows; other fields differ from OTP to OTP. nil for another state."
  @spec place(term, module) :: non_neg_integer | nil
  def place(state, module) do
    with true <- is_tuple(state) and tuple_size(state) > 8 and elem(state, 0) == :state,
         {ids, children} when is_list(ids) and is_map(children) <- elem(state, 3),
         :undefined <- elem(state, 4),
         do: state |> Tuple.to_list() |> Enum.find_index(&(&1 == module)),
         else: (_ -> nil)
  end

  @doc "Children as a list in `c:Application.start/2` names them, as specifications."
  @spec specs([term]) :: [:supervisor.child_spec()]
  def specs(children) do
    {:ok, {_flags, specs}} = Supervisor.init(children, strategy: :one_for_one)
    specs
  end

  @doc "The id of a specification."
  @spec id(:supervisor.child_spec()) :: id
  def id(%{id: id}), do: id
  def id(spec) when is_tuple(spec), do: elem(spec, 0)
end
