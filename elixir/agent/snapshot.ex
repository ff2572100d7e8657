defmodule FlyDeployAgent.Snapshot do
  @moduledoc """
  What suspended processes do with their states: each puts its own aside before its migration, in its dictionary, without
  copying it, takes it again in a rollback, and forgets it when all is over.
  """

  alias FlyDeployAgent.{Failure, Rounds, Target}

  # Under which a suspended process keeps the state that it had.
  @aside :"$flydeploy_state"

  @doc """
  The targets with what the window asks of each: `suspend`, one request, and `migrate`, those for its units. To make those of 50,000
  processes took 10 to 45 ms, so it is done before the first suspend.
  """
  @spec with_requests([Target.t()], pid) :: [Target.t()]
  def with_requests(targets, dead) do
    # Functions that are sent by name are smaller than closures, and 10,000 processes have to collect less garbage.
    state = Rounds.silent(dead, {:replace_state, &__MODULE__.put_state_aside/1})
    handler = Rounds.silent(dead, {:replace_state, &__MODULE__.put_handler_aside/1})

    for %Target{pid: pid, units: units} = target <- targets do
      suspend = suspend_request(pid, either(target, state, handler))
      migrate = for {module, vsn} <- units, do: {{pid, module}, {:change_code, module, vsn, []}}
      %Target{target | suspend: suspend, migrate: migrate}
    end
  end

  # As soon as a process is suspended, it puts its state aside.
  defp suspend_request(pid, nil), do: {pid, :suspend}
  defp suspend_request(pid, put_aside), do: {pid, :suspend, put_aside}

  @doc false
  def put_state_aside(state), do: put(@aside, state)
  @doc false
  def put_handler_aside({module, id, _} = handler), do: put({@aside, module, id}, handler)

  defp put(slot, state) do
    Process.put(slot, {:state, state})
    state
  end

  @doc """
  Gives a function that gives two: with the first a process takes the state again that it had put aside, with the second a handler of a
  gen_event. Where there is none, the pid hears of it, with the tag. Made before the window.
  """
  @spec restoring() :: (pid, reference -> {(term -> term), (tuple -> term)})
  def restoring do
    lasting(
      quote do
        fn agent, tag ->
          restore = fn slot, current ->
            case Process.get(slot) do
              {:state, state} ->
                state

              nil ->
                send(agent, {tag, self(), :lost})
                current
            end
          end

          {fn state -> restore.(unquote(@aside), state) end,
           fn {module, id, _} = handler -> restore.({unquote(@aside), module, id}, handler) end}
        end
      end
    )
  end

  @doc """
  Tells the targets to take their states again, and those of `asked` to tell the shape of theirs. What they say is for `told/1`.
  """
  @spec restore(FlyDeployAgent.Window.t(), reference, MapSet.t(pid)) :: :ok
  def restore(%{targets: targets, dead: dead} = window, tag, asked) do
    {state, handler} = window.restore.(self(), tag)
    tell(targets, dead, state, handler)
    told = for %{pid: pid, units: [_ | _]} <- targets, pid in asked, do: pid
    Rounds.tell(told, dead, {:replace_state, telling_shape(self(), tag)})
  end

  defp telling_shape(agent, tag) do
    fn state ->
      send(agent, {tag, self(), Failure.shape(state)})
      state
    end
  end

  @doc "The shapes that have been told, and the processes that had put no state aside."
  @spec told(reference) :: {%{pid => binary}, [pid]}
  def told(tag), do: told(tag, %{}, [])

  defp told(tag, shapes, lost) do
    receive do
      {^tag, pid, :lost} -> told(tag, shapes, [pid | lost])
      {^tag, pid, shape} -> told(tag, Map.put(shapes, pid, shape), lost)
    after
      0 -> {Map.drop(shapes, lost), Enum.uniq(lost)}
    end
  end

  @doc "Lets the processes forget the states that they put aside. Outside of the window."
  @spec forget([Target.t()], pid) :: :ok
  def forget(targets, dead) do
    {state, handler} =
      lasting(
        quote do
          {fn state ->
             Process.delete(unquote(@aside))
             state
           end,
           fn {module, id, _} = handler ->
             Process.delete({unquote(@aside), module, id})
             handler
           end}
        end
      )

    tell(targets, dead, state, handler)
  end

  # A process that is busy, or stuck in its migration, comes to these when the agent and its code may have gone: what is evaluated
  # belongs to no module.
  defp lasting(quoted), do: quoted |> Code.eval_quoted() |> elem(0)

  # Sent without answers: what each process that migrates does with its state, or with those of its handlers.
  defp tell(targets, dead, state, handler) do
    state = Rounds.silent(dead, {:replace_state, state})
    handler = Rounds.silent(dead, {:replace_state, handler})
    for target <- targets, message = either(target, state, handler), do: send(target.pid, message)
    :ok
  end

  # What concerns the state of a process that migrates: gen_event calls a function for each of its handlers, with
  # {module, id, state}.
  defp either(%{units: []}, _state, _handler), do: nil
  defp either(%{kind: :gen_event}, _state, handler), do: handler
  defp either(_target, state, _handler), do: state
end
