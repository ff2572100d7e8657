Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.ConditionsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Conditions, Once, Value, Versions}

  @start [init: 1, handle_continue: 2]

  @source """
  defmodule T.Feed do
    use GenServer
    def init(:quiet), do: {:ok, nil}
    def init(opts) do
      {mode, home} = {Keyword.get(opts, :mode, :active), opts[:home]}
      if mode == :active, do: T.Bus.subscribe(:feed)
      if home, do: Process.flag(:trap_exit, true)
      case mode do
        :lazy -> {:ok, mode}
        :passive -> {:ok, mode}
        _ -> {:ok, mode, {:continue, :load}}
      end
    end
    def handle_continue(:load, s) do
      Registry.register(T.Names, :feed, nil)
      {:noreply, s}
    end
  end
  """

  @mapped """
  defmodule T.Mapped do
    use GenServer
    def init(%{mode: :passive} = opts), do: {:ok, opts}
    def init(opts) do
      T.Bus.subscribe(:feed)
      {:ok, opts}
    end
  end
  """

  @pair """
  defmodule T.Pair do
    use GenServer
    def init({name, :idle}), do: {:ok, name}
    def init({name, _mode}) do
      T.Bus.subscribe(:feed)
      {:ok, name, 1_000}
    end
  end
  """

  @machine """
  defmodule T.Machine do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(opts) do
      if opts[:mode] == :server, do: {:ok, :up, opts, [{:next_event, :internal, :listen}]}, else: {:ok, :idle, opts}
    end
    def handle_event(_, _, _, data), do: {:keep_state, data}
  end
  """

  @subscribes "T.Bus.subscribe/1 (:feed)"
  @traps ":erlang.process_flag/2 (:trap_exit, true)"
  @registers "Registry.register/3 (T.Names, :feed)"

  # {what, source, edits, [{condition, call}]}
  @changes [
    {"a further value of an option", @source, [{"mode == :active,", "mode in [:active, :passive],"}],
     [{"mode: :passive", @subscribes}]},
    {"nothing is asked any more", @source, [{"if mode == :active, do: T", "_ = T"}],
     [
       {"another mode", @subscribes}
       | for(mode <- ~w(:lazy :passive false nil true), do: {"mode: #{mode}", @subscribes})
     ]},
    {"another one goes on", @source,
     [{":passive -> {:ok, mode}", ":passive -> {:ok, mode, {:continue, :load}}"}],
     [{"mode: :passive", @registers}]},
    {"an option that is not given", @source, [{"if home, do:", "unless home, do:"}],
     [{"home: false", @traps}, {"home: nil", @traps}]},
    {"what it is given alone", @source,
     [{"def init(:quiet), do: {:ok, nil}", "def init(:quiet), do: {:ok, T.Bus.subscribe(:feed)}"}],
     [{":quiet", @subscribes}]},
    {"a pattern of a map", @mapped,
     [{"opts), do: {:ok, opts}", "opts), do: {:ok, opts, T.Bus.subscribe(:feed)}"}],
     [{"mode: :passive", @subscribes}]},
    {"an element of what it is given", @pair,
     [
       {"def init({name, :idle}), do: {:ok, name}",
        "def init({name, :idle}), do: {:ok, T.Bus.subscribe(:feed) && name}"}
     ], [{"{_, :idle}", @subscribes}]},
    {"a timeout", @pair, [{"{name, :idle}), do: {:ok, name}", "{name, :idle}), do: {:ok, name, 5_000}"}],
     [{"{_, :idle}", "gets a timeout"}]},
    {"an action of a state machine", @machine,
     [{"{:ok, :idle, opts}", "{:ok, :up, opts, [{:next_event, :internal, :listen}]}"}],
     [{"another mode", "goes on with :listen"}]},
    {"a further action, which the running version does not know", @machine,
     [{"{:ok, :idle, opts}", "{:ok, :idle, opts, [{:next_event, :internal, :rest}]}"}], []},
    {"the same in other words", @source,
     [
       {"if mode == :active, do: T.Bus.subscribe(:feed)", "begin(mode)"},
       {"  def handle_continue",
        "  defp begin(:active), do: T.Bus.subscribe(:feed)\n  defp begin(_), do: nil\n  def handle_continue"}
     ], []},
    {"the same in a continue", @source,
     [
       {"    if mode == :active, do: T.Bus.subscribe(:feed)\n", ""},
       {"_ -> {:ok, mode, {:continue, :load}}",
        ":active -> {:ok, mode, {:continue, :both}}\n      _ -> {:ok, mode, {:continue, :load}}"},
       {"  def handle_continue(:load",
        "  def handle_continue(:both, s) do\n    T.Bus.subscribe(:feed)\n    handle_continue(:load, s)\n  end\n  def handle_continue(:load"}
     ], []},
    {"a further option, which nobody has given", @source,
     [{"if home, do:", "if opts[:strict] && mode == :passive, do: T.Bus.subscribe(:feed)\n    if home, do:"}],
     []},
    {"less is done", @source, [{"if mode == :active, do: T.Bus.subscribe(:feed)", "nil"}], []},
    {"a log, and another order", @source,
     [
       {"    if mode == :active, do: T.Bus.subscribe(:feed)\n    if home, do: Process.flag(:trap_exit, true)\n",
        "      if home, do: Process.flag(:trap_exit, true)\n      if mode == :passive, do: IO.puts(\"passive\")\n      if mode == :active, do: T.Bus.subscribe(:feed)\n"}
     ], []},
    {"a code_change does it", @source,
     [
       {"mode == :active,", "mode in [:active, :passive],"},
       {"  def handle_continue",
        "  def code_change(_, s, _), do: {:ok, {T.Bus.subscribe(:feed), s}}\n  def handle_continue"}
     ], []}
  ]

  for {{what, _, _, _}, n} <- Enum.with_index(@changes) do
    @case_number n
    test "under a condition: #{what}" do
      {_, source, edits, expected} = Enum.at(@changes, @case_number)
      [pair] = Versions.pairs(Versions.beams(source), source |> Versions.edited(edits) |> Versions.beams())
      found = Conditions.new(pair, Once.new(pair, @start))

      assert for({condition, call} <- found, do: {Conditions.told(condition), said(call)}) |> Enum.sort() ==
               Enum.sort(expected)
    end
  end

  test "calls that only a further value of an option leads to" do
    unknown = fn edits ->
      [pair] = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      for call <- Conditions.unknown(pair, Once.new(pair, @start)), do: Once.told(call)
    end

    further =
      {"      :passive ->", "      :turbo -> {:ok, :erlang.monitor(:process, mode)}\n      :passive ->"}

    assert unknown.([further]) == [":erlang.monitor/2 (:process, :turbo)"]

    assert unknown.([
             {"      :passive ->",
              "      :passive -> {:ok, :erlang.monitor(:process, mode)}\n      :never ->"}
           ]) == []

    assert unknown.([
             further,
             {"if home, do:", "if mode == :lazy, do: :erlang.monitor(:process, home)\n      if home, do:"}
           ]) == []

    assert unknown.([{"if home, do:", "_ = :erlang.monitor(:process, home)\n      if home, do:"}]) == []
  end

  defp said({:then, text}), do: text
  defp said(call), do: Once.told(call)

  test "states tell how they may have started" do
    holds? = fn condition, state -> Conditions.holds?(condition, Value.of(state)) end
    passive = {:option, :mode, :passive}
    assert holds?.(passive, %{mode: :passive, n: 1})
    refute holds?.(passive, %{mode: :active, n: 1})
    assert holds?.(passive, {:state, %{opts: [home: 1, mode: :passive]}})
    refute holds?.(passive, {:state, %{opts: [home: 1, mode: :active]}})
    assert holds?.(passive, %{n: 1}) == :unknown
    # One that only the new version knows must be there.
    refute holds?.({:new, :mode, :fast}, %{n: 1})
    assert holds?.({:new, :mode, :fast}, %{mode: :fast})
    assert holds?.({:other, :mode, [:active]}, %{mode: :passive})
    refute holds?.({:other, :mode, [:active]}, %{mode: :active})
    assert holds?.({:given, :quiet}, %{kind: :quiet})
    assert holds?.({:given, {:file, 2}}, [1]) == :unknown
  end
end
