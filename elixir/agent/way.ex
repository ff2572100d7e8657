defmodule FlyDeployAgent.Way do
  @moduledoc """
  One way through code that is followed (`FlyDeployAgent.Paths`): where it is, `at`, and `in` which function; what the registers hold,
  `regs`; who called, `frames`; within how many `tries` it is; and `miss`, the demand in vain that led here.
  """

  alias FlyDeployAgent.Value

  @type frame :: %{at: [tuple], in: mfa, y: map, tries: non_neg_integer}
  @type t :: %{
          at: [tuple],
          in: mfa,
          regs: %{tuple => Value.t()},
          frames: [frame],
          tries: non_neg_integer,
          miss: {FlyDeployAgent.Paths.demand(), boolean} | nil
        }

  @doc "The way into a function of a program; nil where that has none."
  @spec entry(FlyDeployAgent.Paths.program(), mfa, [Value.t()]) :: t | nil
  def entry(program, function, arguments) do
    case program[function] do
      {[_label, _info | body], _labels} ->
        %{at: body, in: function, regs: registers(arguments), frames: [], tries: 0, miss: nil}

      _ ->
        nil
    end
  end

  defp registers(arguments),
    do: for({value, n} <- Enum.with_index(arguments), into: %{}, do: {{:x, n}, value})

  @doc "What a call leaves of its caller, who goes on with `rest`."
  @spec frame(t, [tuple]) :: frame
  def frame(way, rest), do: %{at: rest, in: way.in, y: only_y(way.regs), tries: way.tries}

  @doc "The ways that a call which gave `value` leads to."
  @spec go_on(t, [tuple], :stay | :last, Value.t()) :: [t]
  def go_on(way, rest, :stay, value),
    do: [%{way | at: rest, regs: way.regs |> only_y() |> Map.put({:x, 0}, value), miss: nil}]

  def go_on(way, _rest, :last, value), do: [%{way | at: [{:return}], regs: %{{:x, 0} => value}, miss: nil}]

  @doc "The way on from a frame, where `given` was given back."
  @spec returned(frame, Value.t(), [frame]) :: t
  def returned(back, given, frames),
    do: %{
      at: back.at,
      in: back.in,
      regs: Map.put(back.y, {:x, 0}, given),
      frames: frames,
      tries: back.tries,
      miss: nil
    }

  @doc "The first registers, which a call takes."
  @spec arguments(arity, map) :: [Value.t()]
  def arguments(0, _regs), do: []
  def arguments(arity, regs), do: for(n <- 0..(arity - 1), do: Map.get(regs, {:x, n}, :any))

  @doc "What of the registers a call leaves."
  @spec only_y(map) :: map
  def only_y(regs), do: for({{:y, _}, _} = register <- regs, into: %{}, do: register)
end
