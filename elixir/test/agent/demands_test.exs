Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.DemandsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Demands, Pair, Paths, Value, Versions}

  @server """
  defmodule T.Items do
    def total(state), do: length(state.items)
  end

  defmodule T.Server do
    use GenServer
    def init(name), do: {:ok, %{name: name, items: []}}
    def handle_call(:items, _from, state), do: {:reply, state.items, state}
    def handle_call(:total, _from, state), do: {:reply, T.Items.total(state), state}
    def handle_cast({:put, item}, state), do: {:noreply, %{state | items: [item | state.items]}}
    def handle_info(:tick, %{name: name} = state), do: {:noreply, rename(state, name)}
    defp rename(state, name), do: %{state | name: name}
  end
  """

  @view """
  defmodule T.View do
    @behaviour Phoenix.LiveView
    def mount(_params, _session, socket), do: {:ok, socket}
    def handle_event("inc", _params, socket), do: {:noreply, Map.put(socket, :n, socket.assigns.n)}
    def render(assigns) do
      dynamic = fn changed -> [if(changed, do: nil, else: to_string(assigns.n))] end
      %{static: ["<p>", "</p>"], dynamic: dynamic}
    end
  end
  """

  @socket %{__struct__: Phoenix.LiveView.Socket, assigns: %{n: 1, flash: %{}}, id: "x"}

  # {what, edits, subjects}; nil stands for silence.
  @server_changes [
    {"nothing that matters", [{"{:reply, state.items, state}", "{:reply, Enum.reverse(state.items), state}"}],
     []},
    {"a key is read", [{"{:reply, state.items, state}", "{:reply, state.all, state}"}], [":all"]},
    {"a key is read in another module", [{"length(state.items)", "length(state.all)"}], [":all"]},
    {"a key is read in a helper", [{"%{state | name: name}", "%{state | name: state.first <> name}"}],
     [":first"]},
    {"a key is updated", [{"%{state | name: name}", "%{state | first: name}"}], [":first"]},
    {"a key is fetched", [{"{:reply, state.items, state}", "{:reply, Map.fetch!(state, :all), state}"}],
     [":all"]},
    {"an element's key",
     [{"{:reply, state.items, state}", "{:reply, Enum.map(state.items, & &1.price), state}"}], [":price"]},
    {"a key with a default", [{"{:reply, state.items, state}", "{:reply, Map.get(state, :all, []), state}"}],
     []},
    {"a key that is a text, where all are atoms",
     [{"%{name: name} = state)", "%{\"name\" => name} = state)"}], ["\"name\""]},
    {"a key that is a text, where there are others",
     [{"{:reply, state.items, state}", "{:reply, %{state.texts | \"b\" => 1}, state}"}], []},
    {"a key that is put into something within",
     [{"{:reply, state.items, state}", "{:reply, 1, put_in(state.most[:x], 1)}"}], [":most"]},
    {"a key that is put into something that is there",
     [{"{:reply, state.items, state}", "{:reply, 1, put_in(state.limits[:x], 1)}"}], []},
    {"a module that lacks a function",
     [{"{:reply, state.items, state}", "{:reply, state.mod.nothing(1), state}"}], [""]},
    {"a module that is asked for a function before",
     [
       {"{:reply, state.items, state}",
        "{:reply, if(function_exported?(state.mod, :nothing, 1), do: state.mod.nothing(1)), state}"}
     ], []},
    {"a key of a map within",
     [{"{:reply, state.items, state}", "{:reply, 1, update_in(state.limits.most, &(&1 + 1))}"}], [":most"]},
    {"a key of a map within that is there",
     [{"{:reply, state.items, state}", "{:reply, 1, update_in(state.limits.min, &(&1 + 1))}"}], []},
    {"a key in a rescue",
     [{"{:reply, state.items, state}", "{:reply, (try do state.all rescue KeyError -> [] end), state}"}], []},
    {"a key that is put before",
     [{"{:reply, state.items, state}", "{:reply, Map.put_new(state, :all, []).all, state}"}], []},
    {"a key behind a question",
     [{"{:reply, state.items, state}", "{:reply, if(is_map_key(state, :all), do: state.all), state}"}], []},
    {"a key of a new message that its start sets",
     [
       {"items: []}}", "items: [], at: 1}}"},
       {"  defp rename", "  def handle_info(:late, %{at: at} = s), do: {:noreply, at && s}\n  defp rename"}
     ], [":at"]},
    {"a key of a new message that another one brings",
     [
       {"  defp rename",
        "  def handle_info({:port, p}, s), do: {:noreply, Map.put(s, :port, p)}\n  def handle_info(:close, %{port: _} = s), do: {:noreply, s}\n  defp rename"}
     ], []},
    {"a code_change that brings it",
     [
       {"{:reply, state.items, state}", "{:reply, state.all, state}"},
       {"  defp rename", "  def code_change(_, s, _), do: {:ok, Map.put(s, :all, s.items)}\n  defp rename"}
     ], []},
    {"an element of what is kept by pids",
     [
       {"{:reply, state.items, state}",
        "{:reply, for({pid, ref} <- state.refs, :all in ref, do: pid), state}"}
     ], [""]},
    {"what is kept by pids, as it is",
     [{"{:reply, state.items, state}", "{:reply, for({pid, ref} <- state.refs, ref != 1, do: pid), state}"}],
     []},
    {"what stands beside a pid, that may be missing",
     [{"{:reply, state.items, state}", "{:reply, Map.get(state.refs, self(), []) |> Enum.count(), state}"}],
     [""]},
    {"an option", [{"{:reply, state.items, state}", "{:reply, Keyword.fetch!(state.opts, :limit), state}"}],
     [":limit"]},
    {"an option with a default",
     [{"{:reply, state.items, state}", "{:reply, Keyword.get(state.opts, :limit, 1) + 1, state}"}], []},
    {"an option that is there",
     [{"{:reply, state.items, state}", "{:reply, Keyword.fetch!(state.opts, :at) + 1, state}"}], []},
    {"a counter", [{"{:reply, state.items, state}", "{:reply, :atomics.get(state.hits, 3), state}"}], [""]},
    {"a counter that is there",
     [{"{:reply, state.items, state}", "{:reply, :atomics.get(state.hits, 2), state}"}], []},
    {"a function of another number of arguments",
     [{"{:reply, state.items, state}", "{:reply, state.on.(state.items, 1), state}"}], [""]},
    {"a function that is kept", [{"{:reply, state.items, state}", "{:reply, state.on.(state.items), state}"}],
     []},
    {"a set that is asked as a map",
     [
       {"(:items, _from, state), do: {:reply, state.items, state}",
        "(:items, from, state), do: {:reply, Map.has_key?(state.seen, from), state}"}
     ], [""]},
    {"a set",
     [
       {"(:items, _from, state), do: {:reply, state.items, state}",
        "(:items, from, state), do: {:reply, from in state.seen, state}"}
     ], []},
    {"pieces that are one text", [{"{:reply, state.items, state}", "{:reply, state.pieces <> \"x\", state}"}],
     [""]},
    {"pieces",
     [{"{:reply, state.items, state}", "{:reply, IO.iodata_to_binary([state.pieces, \"x\"]), state}"}], []},
    {"a timer of another kind",
     [{"{:reply, state.items, state}", "{:reply, Process.cancel_timer(state.timer), state}"}], [""]},
    {"a timer", [{"{:reply, state.items, state}", "{:reply, :timer.cancel(state.timer), state}"}], []},
    {"rows of a table that it holds",
     [
       {"{:reply, state.items, state}",
        "{:reply, (fn [{_, n, _}] -> n end).(:ets.lookup(state.rows, :a)), state}"}
     ], [""]},
    {"rows as they are",
     [
       {"{:reply, state.items, state}",
        "{:reply, (fn [{_, n}] -> n end).(:ets.lookup(state.rows, :a)), state}"}
     ], []},
    {"a function that is passed on",
     [{"{:reply, state.items, state}", "{:reply, Enum.map(state.items, &MapSet.size/1), state}"}], [""]},
    {"a message that comes to the clause for all",
     [
       {"%{name: name} = state), do: {:noreply, rename(state, name)}",
        "%{name: name, at: _} = state), do: {:noreply, rename(state, name)}\n  def handle_info(_, state), do: {:noreply, state}"}
     ], [":at"]},
    {"a clause for all, and the state fits",
     [
       {"%{name: name} = state), do: {:noreply, rename(state, name)}",
        "%{name: name, items: _} = state), do: {:noreply, rename(state, name)}\n  def handle_info(_, state), do: {:noreply, state}"}
     ], []},
    {"a code_change that brings another",
     [
       {"{:reply, state.items, state}", "{:reply, state.all, state}"},
       {"  defp rename", "  def code_change(_, s, _), do: {:ok, Map.put(s, :more, s.items)}\n  defp rename"}
     ], [":all"]}
  ]

  @view_changes [
    {"a new assign in the template", [{"to_string(assigns.n)", "to_string(assigns.n + assigns.step)"}],
     [":step"]},
    {"a new assign in an event", [{"socket.assigns.n)", "socket.assigns.step)"}], [":step"]},
    {"an assign that the template asks for", [{"to_string(assigns.n)", "to_string(assigns[:step])"}], []},
    {"what LiveView adds",
     [{"to_string(assigns.n)", "to_string({assigns.n, assigns.socket, assigns.flash})"}], []},
    {"an assign that code_change sets",
     [
       {"to_string(assigns.n)", "to_string(assigns.n + assigns.step)"},
       {"  def render",
        "  def code_change(_, socket, _), do: {:ok, %{socket | assigns: Map.put(socket.assigns, :step, 1)}}\n  def render"}
     ], []},
    {"other markup", [{"<p>", "<b>"}, {"</p>", "</b>"}], []}
  ]

  test "modules for which there is no time are counted, not passed over" do
    pairs =
      Versions.pairs(
        Versions.beams(@server),
        @server |> String.replace("state.items, state", "state.all, state") |> Versions.beams()
      )

    codes = fn version, module ->
      with %Pair{} = pair <- Enum.find(pairs, &(&1.module == module)), do: Pair.code(pair, version)
    end

    shapes = %{T.Server => %{kind: :gen_server, shapes: [{Value.of(state()), 1}], count: 1}}

    assert [%{name: "stale_shape"}] = Demands.all(pairs, shapes, codes, %{})
    assert [%{name: "not_compared", detail: detail}] = Demands.all(pairs, shapes, codes, %{}, 0)
    assert detail =~ "no time to follow the code of 1 module"
  end

  @library """
  defmodule T.Library do
    use GenServer
    def init(_), do: {:ok, %{n: 1}}
    def handle_call(:n, _from, state), do: {:reply, T.LibraryHelper.n(state), state}
  end

  defmodule T.LibraryHelper do
    def n(state), do: state.n
  end
  """

  test "changed modules are followed first, and of the others those that have to do with them" do
    old = @server |> Versions.beams() |> Map.merge(Versions.beams(@library))

    pairs =
      Versions.pairs(
        old,
        @server |> String.replace("state.items, state", "state.all, state") |> Versions.beams()
      )

    codes = fn version, module ->
      send(self(), {:asked, module})
      pair = Enum.find(pairs, &(&1.module == module))
      if pair, do: Pair.code(pair, version), else: old[module] && code(old[module])
    end

    live = fn state -> %{kind: :gen_server, shapes: [{Value.of(state), 1}], count: 1} end
    shapes = %{Agent => live.(nil), T.Library => live.(%{n: 1}), T.Server => live.(state())}

    assert [%{name: "stale_shape"}] = Demands.all(pairs, shapes, codes, %{})
    {:messages, messages} = Process.info(self(), :messages)
    asked = for({:asked, module} <- messages, do: module) |> Enum.uniq()
    assert hd(asked) == T.Server
    assert Agent in asked and T.Library in asked
    refute T.LibraryHelper in asked
  end

  defp state do
    %{
      name: "me",
      items: [%{n: 1}],
      refs: %{self() => make_ref()},
      opts: [at: 1],
      hits: :atomics.new(2, []),
      limits: %{min: 1},
      on: &Enum.count/1,
      mod: Enum,
      seen: MapSet.new([1]),
      pieces: ["a"],
      texts: %{"a" => 1},
      timer: {:interval, make_ref()},
      rows: rows()
    }
  end

  defp rows do
    table = :ets.new(:rows, [:public])
    :ets.insert(table, {:a, 1})
    table
  end

  test "what states lack", do: check(@server, @server_changes, T.Server, :gen_server, state(), "state")

  @channel """
  defmodule T.Channel do
    @behaviour Phoenix.Channel
    def join(_topic, _params, socket), do: {:ok, socket}
    def handle_in("say", text, socket) do
      socket = Phoenix.Socket.assign(socket, :said, socket.assigns.said + 1)
      {:reply, {:ok, %{said: text, by: socket.assigns.user}}, socket}
    end
  end
  """

  # The reply has the key, too: that sets none in the socket, which is another one by then.
  test "what channels lack" do
    reply = "{:reply, {:ok, %{said: text, since: socket.assigns.since}}, socket}"
    edits = [{"{:reply, {:ok, %{said: text, by: socket.assigns.user}}, socket}", reply}]
    socket = %{__struct__: Phoenix.Socket, assigns: %{user: "me", said: 1}, topic: "room:a"}

    check(
      @channel,
      [{"an assign that only join sets", edits, [":since"]}],
      T.Channel,
      :channel,
      socket,
      "assigns"
    )
  end

  @handler """
  defmodule T.Handler do
    @behaviour :gen_event
    def init(_), do: {:ok, %{n: 0}}
    def handle_event(:hit, state), do: {:ok, %{state | n: state.n + 1}}
    def handle_call(:n, state), do: {:ok, state.n, state}
  end
  """

  test "what handlers of events lack",
    do:
      check(
        @handler,
        [
          {"a key", [{"state.n + 1", "state.n + state.by"}], [":by"]},
          {"no key", [{"state.n + 1", "state.n + 2"}], []}
        ],
        T.Handler,
        :gen_event,
        %{n: 0},
        "state"
      )

  @machine """
  defmodule T.Machine do
    @behaviour :gen_statem
    def callback_mode, do: :handle_event_function
    def init(_), do: {:ok, {:charging, 1}, %{}}
    def handle_event({:call, from}, :poll, {:charging, n}, _), do: {:keep_state_and_data, {:reply, from, n}}
    def handle_event({:call, from}, :poll, :idle, _), do: {:keep_state_and_data, {:reply, from, nil}}
  end
  """

  test "states of machines that are tuples",
    do:
      check(
        @machine,
        [
          {"another element", [{"{:charging, n}, _)", "{:charging, n, _pid}, _)"}], [""]},
          {"the same", [{"from, nil}", "from, 0}"}], []}
        ],
        T.Machine,
        :gen_statem,
        {{:charging, 1}, %{}},
        "data"
      )

  @waiters """
  defmodule T.Waiters do
    use GenServer
    def init(_), do: {:ok, %{waiting: []}}
    def handle_call(:wait, from, s), do: {:noreply, %{s | waiting: [from | s.waiting]}}
    def handle_cast(:open, s) do
      for {pid, tag} <- s.waiting, do: send(pid, {tag, :open})
      {:noreply, %{s | waiting: []}}
    end
  end
  """

  test "elements that a comprehension passes over",
    do:
      check(
        @waiters,
        [
          {"another shape", [{"{pid, tag} <-", "{{pid, tag}, _at} <-"}], [""]},
          {"more elements", [{"{pid, tag} <-", "{pid, tag, _at} <-"}], [""]},
          {"the same", [{"{tag, :open}", "{tag, :opened}"}], []},
          {"both shapes",
           [
             {"for {pid, tag} <- s.waiting, do: send(pid, {tag, :open})",
              "for {{pid, tag}, _at} <- s.waiting, do: send(pid, {tag, :open})\nfor {pid, tag} <- s.waiting, do: send(pid, {tag, :open})"}
           ], []},
          {"others are picked out beside them",
           [
             {"    for {pid, tag} <- s.waiting,",
              "    for {pid, _, :vip} <- s.waiting, do: send(pid, :soon)\n    for {pid, tag} <- s.waiting,"}
           ], []}
        ],
        T.Waiters,
        :gen_server,
        %{waiting: [{self(), make_ref()}]},
        "state"
      )

  @tags """
  defmodule T.Tags do
    def add(p, k, v), do: Agent.update(p, fn m -> Map.update(m, k, [v], &[v | &1]) end)
    def count(p, k), do: Agent.get(p, fn m -> length(Map.get(m, k, [])) end)
  end
  """

  test "what an agent keeps under keys that come",
    do:
      check(
        @tags,
        [
          {"sets where lists were",
           [
             {"[v], &[v | &1]", "MapSet.new([v]), &MapSet.put(&1, v)"},
             {"length(Map.get(m, k, []))", "MapSet.size(Map.get(m, k, MapSet.new()))"}
           ], [""]},
          {"lists as well", [{"&[v | &1]", "&(&1 ++ [v])"}], []}
        ],
        T.Tags,
        :agent,
        %{red: [1, 2]},
        "state"
      )

  @stage """
  defmodule T.Stage do
    use GenServer
    def init(m), do: {:ok, {:state, m, m.start()}}
    def handle_call({:demand, n}, _from, {:state, m, inner}), do: {:reply, m.demand(n, inner), {:state, m, inner}}
  end

  defmodule T.Producer do
    def start, do: %{n: 0}
    def demand(n, state), do: n + state.n
  end
  """

  # Which it calls by its name.
  test "a state that a server keeps beside a module that changes",
    do:
      check(
        @stage,
        [
          {"a key", [{"n + state.n", "n * state.step"}], [":step"]},
          {"no key", [{"n + state.n", "n * state.n"}], []}
        ],
        T.Stage,
        :gen_server,
        {:state, T.Producer, %{n: 0}},
        "state"
      )

  test "what a process keeps in its dictionary" do
    source =
      "defmodule T.Kept do\n  use GenServer\n  def init(_), do: {:ok, Process.put(:limit, {1, 5})}\n" <>
        "  def handle_call(:limit, _from, s), do: {:reply, limit(Process.get(:limit)), s}\n  defp limit({_, n}), do: n\nend\n"

    find = fn new ->
      pairs = Versions.pairs(Versions.beams(source), Versions.beams(new))
      codes = fn version, module -> if module == T.Kept, do: Pair.code(hd(pairs), version) end
      shapes = [{Value.of(nil), 1}]
      kept = %{limit: Value.of({1, 5})}
      Demands.all(pairs, %{T.Kept => %{kind: :gen_server, shapes: shapes, count: 1, kept: kept}}, codes, %{})
    end

    assert [%{name: "stale_shape"}] = find.(String.replace(source, "limit({_, n})", "limit({_, n, _})"))
    assert find.(String.replace(source, "limit({_, n}), do: n", "limit({_, n}), do: n + 1")) == []
  end

  test "what has too many ways is told, and is no alarm" do
    cases =
      for n <- 1..14, into: "", do: "    x = if(state.items == [#{n}], do: {#{n}, x}, else: {x, #{n}})\n"

    edits = [{"{:reply, state.items, state}", "(\n    x = 0\n#{cases}    {:reply, {x, state.all}, state})"}]
    old = Versions.beams(@server)

    assert %{severity: :info, subject: "T.Server", name: "not_compared"} =
             old |> found(Versions.edited(@server, edits), T.Server, :gen_server, state()) |> List.last()
  end

  test "what pages lack", do: check(@view, @view_changes, T.View, :view, @socket, "assigns")

  defp check(source, changes, module, kind, state, of) do
    old = Versions.beams(source)

    for {what, edits, keys} <- changes do
      found = found(old, Versions.edited(source, edits), module, kind, state)
      wanted = for key <- keys, do: {"stale_shape", "#{inspect(module)}'s #{of}#{without(key)}"}
      assert {what, for(f <- found, do: {f.name, f.subject})} == {what, wanted}
    end
  end

  # "" stands for what is there, and is something else.
  defp without(""), do: ""
  defp without(key), do: " without #{key}"

  defp found(old, source, module, kind, state) do
    new = Versions.beams(source)
    # A server may hold a state that only another module reads otherwise.
    pairs = Versions.pairs(old, Map.update!(new, module, & &1))
    by_module = Map.new(pairs, &{&1.module, &1})

    codes = fn version, module ->
      case by_module[module] do
        nil -> old[module] && code(old[module])
        pair -> Pair.code(pair, version)
      end
    end

    shapes = %{module => %{kind: kind, shapes: [{Value.of(state), 3}], count: 3}}
    pairs = if by_module[module], do: pairs, else: [unchanged(old, module) | pairs]
    Demands.all(pairs, shapes, codes, %{})
  end

  defp unchanged(old, module) do
    {:ok, facts} = FlyDeployAgent.CodeFacts.read(old[module])
    code = code(old[module])
    %Pair{module: module, old: facts, new: facts, old_code: fn -> code end, new_code: fn -> code end}
  end

  defp code(beam) do
    {:ok, code} = FlyDeployAgent.CodeFacts.functions(beam)
    code
  end

  # As the compiler takes texts apart before OTP 26 and from then on.
  test "behind what is not known, a text may match or not" do
    takes? = fn pattern, text ->
      source = "defmodule T.Words do\n  def take(#{pattern}), do: true\nend"

      program =
        Paths.program(&(&1 == T.Words && code(Versions.beams(source)[T.Words])), [{T.Words, :take, 1}])

      Paths.follow(program, {T.Words, :take, 1}, [{:text, text}]).returns != []
    end

    for pattern <- [
          ~s|<<_::binary-size(2), "c", _::binary>>|,
          ~s|<<_::3, 1::5, "b", _::binary>>|,
          ~s|<<_::utf8, "b", _::binary>>|,
          ~s|<<_::16, "c">>|,
          ~s|"abc" <> _|
        ],
        do: assert({pattern, takes?.(pattern, "abc")} == {pattern, true})

    for pattern <- [~s|"abd" <> _|, ~s|"abcd" <> _|], do: refute(takes?.(pattern, "abc"))
  end

  test "values are not told, and large states are looked at as far as it goes" do
    large = Map.new(1..10_000, &{:"key#{&1}", %{secret: "s3cret"}})
    shape = Value.of(%{a: large, b: "s3cret", c: [1, 2], d: {:ok, self()}})
    refute inspect(shape, limit: :infinity) =~ "s3cret"
    assert :erts_debug.flat_size(shape) < 20_000
    assert {:map, %{b: {:is, :binary}, d: {:tuple, [{:atom, :ok}, {:is, :pid}]}}, _} = shape
  end

  @meaning """
  defmodule T.Meaning do
    use GenServer
    def init(_), do: {:ok, %{at: %{a: System.system_time(:second)}, conns: %{{:tcp, "h", 80} => [1]}, monitors: %{make_ref() => "topic"}}}
    def handle_call(:young, _from, s), do: {:reply, for({id, at} <- s.at, at > System.system_time(:second) - 60, do: id), s}
    def handle_call({:count, {kind, host, port}}, _from, s), do: {:reply, length(Map.get(s.conns, {kind, host, port}, [])), s}
    def handle_call({:topic, t}, _from, s), do: {:reply, Enum.any?(s.monitors, fn {_ref, topic} -> topic == t end), s}
  end
  """

  test "what values mean is not known: these changes are silent" do
    state = %{at: %{a: 1}, conns: %{{:tcp, "h", 80} => [1]}, monitors: %{make_ref() => "topic"}}
    keys = "Map.get(s.conns, {kind, host, port}, [])"

    for {what, edits} <- [
          {"a unit", [{"System.system_time(:second) - 60", "System.system_time(:millisecond) - 60_000"}]},
          {"the order of a key's parts", [{keys, "Map.get(s.conns, {host, port, kind}, [])"}]},
          {"keys and values",
           [{"Enum.any?(s.monitors, fn {_ref, topic} -> topic == t end)", "Map.has_key?(s.monitors, t)"}]}
        ] do
      pairs = Versions.pairs(Versions.beams(@meaning), Versions.beams(Versions.edited(@meaning, edits)))
      codes = fn version, module -> if module == T.Meaning, do: Pair.code(hd(pairs), version) end
      shapes = %{T.Meaning => %{kind: :gen_server, shapes: [{Value.of(state), 1}], count: 1}}
      assert {what, Demands.all(pairs, shapes, codes, %{})} == {what, []}
    end
  end
end
