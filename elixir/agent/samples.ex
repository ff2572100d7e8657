defmodule FlyDeployAgent.Samples do
  @moduledoc """
  Copies of the states of some processes of a kind: as different from each other as they are found, and none that is large. Each process
  looks at its own state and encodes it, so that of large ones nothing is copied.
  """

  alias FlyDeployAgent.{Rounds, ScratchVm}

  # Processes that are asked for the shape of their state, and states that are copied.
  @asked 200
  @taken 20
  # Bytes of a state, encoded, and of a process that is asked at all.
  @state_bytes 65_536
  @process_bytes 1_000_000
  # Terms of a state that tell one shape from another, and keys of a map.
  @terms 300
  @keys 64
  @answer_ms 250

  @typedoc "Encoded states, and how many of the processes that were asked are too large."
  @type t :: %{states: [binary], large: non_neg_integer}

  @doc "Samples of the states of `pids`, which are of this `kind`; of a gen_event's, of the states of the handler `module`."
  @spec take([pid], atom, module) :: t
  def take(pids, kind, module) do
    {small, large} = pids |> spread(@asked) |> Enum.split_with(&small?/1)
    inside = fn fun -> inside(small, kind, module, fun) end
    {fitting, larger} = Enum.split_with(inside.(&__MODULE__.print/1), fn {_, print} -> print != :large end)
    chosen = fitting |> choose() |> MapSet.new()

    states =
      for {_pid, state} <- inside(Enum.filter(small, &(&1 in chosen)), kind, module, &__MODULE__.encoded/1),
          is_binary(state),
          do: state

    %{states: Enum.take(states, @taken), large: length(large) + length(larger)}
  end

  # Some from everywhere: neighbours are often alike.
  defp spread(pids, most) do
    count = length(pids)
    if count <= most, do: pids, else: pids |> Enum.take_every(div(count - 1, most) + 1) |> Enum.take(most)
  end

  defp small?(pid),
    do: match?({:memory, bytes} when bytes <= @process_bytes, Process.info(pid, :memory))

  # One of each shape first.
  defp choose(printed) do
    by_print = printed |> Enum.group_by(&elem(&1, 1), &elem(&1, 0)) |> Map.values()
    first = Enum.map(by_print, &hd/1)
    Enum.take(first ++ Enum.flat_map(by_print, &tl/1), @taken)
  end

  # As `Rounds.inside/2`; a gen_event calls the function for each of its handlers.
  defp inside(pids, kind, module, fun) do
    {asker, round, nobody} = {self(), make_ref(), spawn(fn -> :ok end)}

    look = fn state ->
      with {:ok, own} <- own(kind, module, state), do: send(asker, {round, self(), fun.(own)})
      state
    end

    Rounds.tell(pids, nobody, {:replace_state, look})
    told(round, length(pids), System.monotonic_time(:millisecond) + @answer_ms)
  end

  defp own(:gen_event, module, {module, _id, state}), do: {:ok, state}
  defp own(:gen_event, _module, _handler), do: :other
  defp own(_kind, _module, state), do: {:ok, state}

  defp told(_round, 0, _deadline), do: []

  defp told(round, left, deadline) do
    receive do
      {^round, pid, told} -> [{pid, told} | told(round, left - 1, deadline)]
    after
      max(deadline - System.monotonic_time(:millisecond), 0) -> []
    end
  end

  @doc "A number for the shape of a state, `:large` for one that is too large."
  @spec print(term) :: non_neg_integer | :large
  def print(state) do
    if :erlang.external_size(state) > @state_bytes, do: :large, else: walk([state], @terms, 0)
  end

  # Meanwhile it may have grown.
  @doc false
  def encoded(state) do
    packet = ScratchVm.encode(state)
    if byte_size(packet) <= @state_bytes, do: packet, else: :large
  end

  defp walk([], _left, print), do: print
  defp walk(_terms, 0, print), do: print

  defp walk([term | rest], left, print) do
    {token, parts} = token(term)
    walk(parts ++ rest, left - 1, :erlang.phash2({print, token}))
  end

  defp token(%{} = map) do
    keys = map |> Map.keys() |> Enum.filter(&is_atom/1) |> Enum.sort() |> Enum.take(@keys)
    {{Map.get(map, :__struct__), keys}, for(key <- keys, key != :__struct__, do: Map.fetch!(map, key))}
  end

  defp token(tuple) when is_tuple(tuple),
    do: {{:tuple, tuple_size(tuple)}, tuple |> Tuple.to_list() |> Enum.take(@keys)}

  # Its items are mostly alike.
  defp token([first | _]), do: {:list, [first]}
  defp token(atom) when is_atom(atom), do: {atom, []}
  defp token(number) when is_integer(number), do: {if(number > 0, do: :positive, else: :integer), []}
  defp token([]), do: {[], []}
  defp token(term) when is_binary(term), do: {if(term == "", do: "", else: :binary), []}
  defp token(term) when is_function(term), do: {:function, []}
  defp token(_term), do: {:other, []}
end
