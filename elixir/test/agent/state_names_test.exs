Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.StateNamesTest do
  use ExUnit.Case

  alias FlyDeployAgent.{StateNames, Value, Versions}

  @source """
  defmodule T.Order do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_), do: {:ok, :open, %{}}
    def handle_event(:info, :pay, :open, data), do: {:next_state, :paid, data}
    def handle_event({:call, from}, :ship, :paid, _), do: {:keep_state_and_data, {:reply, from, :ok}}
    def handle_event(:info, {:note, _}, :paid, _), do: :keep_state_and_data
  end
  """
  @tuple [{":ship, :paid", ":ship, {:paid, _}"}, {"{:note, _}, :paid", "{:note, _}, {:paid, _}"}]

  # {what, edits, the state in which processes are, evidence}
  @changes [
    {"nothing that matters", [{"{:reply, from, :ok}", "{:reply, from, :sent}"}], :paid, []},
    {"a state becomes a tuple", @tuple, :paid, [":ship in the state :paid, in which 2 processes are"]},
    {"a state in which nobody is", @tuple, :open, []},
    {"one event of a state", [{":ship, :paid", ":ship, {:paid, _}"}], :paid, [":ship in the state :paid"]},
    {"an event that no state takes any more", [{"{:note, _}, :paid", "{:remark, _}, :paid"}], :paid, []},
    {"a clause for every state",
     @tuple ++ [{"  def init(", "  def handle_event(_, _, _, _), do: :keep_state_and_data\n  def init("}],
     :paid, []},
    {"a code_change",
     @tuple ++
       [{"  def init(", "  def code_change(_, :paid, data, _), do: {:ok, {:paid, 1}, data}\n  def init("}],
     :paid, []}
  ]

  test "states of which the new code knows nothing" do
    for {what, edits, state, evidence} <- @changes do
      pairs = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      states = %{T.Order => List.duplicate(Value.of({state, %{}}), 2)}
      found = StateNames.findings(states, Map.new(pairs, &{&1.module, &1}))

      assert {what, for(f <- found, do: {f.name, f.severity, f.processes})} ==
               {what, for(_ <- evidence, do: {"messages_changed", :warn, 2})}

      for {f, text} <- Enum.zip(found, evidence), do: assert(f.detail =~ text)
    end
  end
end
