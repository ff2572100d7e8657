defmodule FlyDeployAgent.CallbackMode do
  @moduledoc """
  Gives gen_statems their old callback mode back.

  A gen_statem keeps the mode beside its state, and asks for it again only when it changes code (OTP's gen_statem,
  `system_code_change/4`). The old module cannot take that part in a rollback: it may have no `code_change/4`, and it
  would run on a state that is not its own. So a stand-in of the same name is loaded for a moment, whose
  `callback_mode/0` is the old one and whose `code_change/4` changes nothing. Whoever calls another function of it
  meanwhile waits until the real module is back.
  """

  alias FlyDeployAgent.{Beam, Loader, Rounds}

  @type stand_in :: %{mode: term, md5: binary, prepared: Loader.prepared()}

  # Changing the mode is a matter of microseconds.
  @answer_ms 1_000

  @doc "Prepares a stand-in for every changed module with a callback mode. Gives `%{module => %{mode, md5, prepared}}`."
  @spec prepare([FlyDeployAgent.Diff.change()]) :: %{module => stand_in}
  def prepare(changes) do
    for %{change: :changed, module: module} <- changes,
        function_exported?(module, :callback_mode, 0),
        mode = mode(module),
        {:ok, beam} <- [stand_in(module, mode)],
        {:ok, prepared} <- [Loader.prepare([{module, "stand_in", beam}])],
        into: %{},
        do: {module, %{mode: mode, md5: Beam.md5(beam), prepared: prepared[module]}}
  end

  @doc """
  Has every gen_statem of the window whose mode may have changed take the old one. The stand-ins stay loaded: the old code
  follows. Gives the processes that had to be killed for it. With a stand-in loaded, the old code needs the slot in which the new one
  may still run: where no gen_statem of a module is to be told, there is none.
  """
  @spec restore(FlyDeployAgent.Window.t(), {pos_integer, (pid -> boolean)}) :: [pid]
  def restore(window, patience) do
    told = for %{kind: :gen_statem, module: module} <- window.targets, into: MapSet.new(), do: module

    wanted =
      for {module, stand_in} <- window.stand_ins,
          module in told,
          changed?(module, stand_in, window),
          do: module

    # A prepared term must not be finished twice: an agent that died may have done it.
    missing = Enum.reject(wanted, &(Beam.loaded_md5(&1) == window.stand_ins[&1].md5))
    killed = Loader.purge(missing, patience)
    prepared = Map.new(missing, &{&1, window.stand_ins[&1].prepared})

    if Loader.finish(missing, prepared) == :ok do
      requests =
        for %{kind: :gen_statem, module: module, pid: pid} <- window.targets,
            module in wanted,
            do: {pid, {:change_code, __MODULE__, :undefined, []}}

      requests |> Rounds.ask() |> Rounds.collect(@answer_ms, System.monotonic_time(:millisecond) + @answer_ms)
    end

    killed
  end

  # With the old code loaded nothing has changed, or all has been restored; with the stand-in it is under way.
  defp changed?(module, stand_in, window) do
    {old, new} = Map.fetch!(window.md5, module)

    case Beam.loaded_md5(module) do
      ^old -> false
      ^new -> mode(module) != stand_in.mode
      _ -> true
    end
  end

  defp mode(module) do
    module.callback_mode()
  catch
    _, _ -> nil
  end

  defp stand_in(module, mode) do
    [state, data, name, args] = for v <- [:State, :Data, :Name, :Args], do: {:var, 1, v}
    clause = fn params, body -> [{:clause, 1, params, [], [body]}] end

    again =
      {:call, 1, {:remote, 1, {:atom, 1, :erlang}, {:atom, 1, :apply}}, [{:atom, 1, module}, name, args]}

    forms = [
      {:attribute, 1, :module, module},
      {:attribute, 1, :export, [callback_mode: 0, code_change: 4, "$handle_undefined_function": 2]},
      {:function, 1, :callback_mode, 0, clause.([], :erl_parse.abstract(mode))},
      {:function, 1, :code_change, 4,
       clause.([{:var, 1, :_}, state, data, {:var, 1, :_}], {:tuple, 1, [{:atom, 1, :ok}, state, data]})},
      {:function, 1, :"$handle_undefined_function", 2,
       clause.([name, args], {:receive, 1, [], {:integer, 1, 1}, [again]})}
    ]

    with {:ok, ^module, beam} <- :compile.forms(forms, [:deterministic]), do: {:ok, beam}
  end
end
