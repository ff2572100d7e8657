Code.require_file("windows.exs", __DIR__)

unless Code.ensure_loaded?(Phoenix.LiveView.Diff),
  do: Code.require_file("../../../engine/agent/testdata/zoo/lib/live_view.ex", __DIR__)

defmodule FlyDeployAgent.LiveViewTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{
    Beam,
    Births,
    Cell,
    Commit,
    LiveView,
    LiveView.Page,
    Loader,
    Suspension,
    Windows
  }

  alias Phoenix.LiveView.{Browser, Component, Diff, Rendered, Renderer, Socket, Utils}

  # Which code runs, 1 or 2, is kept in a counter that a page's assigns name.
  def version(%{code: code}), do: :counters.get(code, 1)
  defp load(code, version), do: :counters.put(code, 1, version)

  defmodule Shop do
    alias FlyDeployAgent.LiveViewTest, as: Test

    def render(assigns) do
      version = Test.version(assigns)
      if assigns[:in_template], do: assigns.in_template.(version)
      carts = for id <- assigns.carts, do: Component.new(Test.Cart, id, passed(assigns, version))
      badge = Rendered.new(["badge#{version}"], fn _ -> [] end)

      Rendered.new(["shop#{version} n=", " " | List.duplicate("", length(carts) + 1)], fn _ ->
        [to_string(assigns.n), badge | carts]
      end)
    end

    defp passed(assigns, version) do
      slot = [%{__slot__: :inner_block, inner_block: fn -> "slot#{version} #{assigns.n}" end}]
      Map.merge(%{code: assigns.code, slot: slot}, if(version == 2, do: assigns[:passed] || %{}, else: %{}))
    end
  end

  defmodule Cart do
    alias FlyDeployAgent.LiveViewTest, as: Test
    def mount(socket), do: {:ok, Utils.assign(socket, %{n: 0, price: 1, opened: false})}
    # Its parent's next update ends what was typed.
    def update(assigns, socket), do: {:ok, socket |> Utils.assign(assigns) |> Utils.assign(:typed, "")}

    def render(%{slot: [%{inner_block: slot}]} = assigns) do
      version = Test.version(assigns)
      if assigns[:in_cart], do: assigns.in_cart.(assigns)
      item = if assigns.opened, do: Component.new(Test.Item, assigns.id, %{code: assigns.code}), else: ""

      Rendered.new([" [cart#{version} ", " n=", " ", " ", "", "]"], fn _ ->
        [assigns.id, to_string(assigns.n), assigns.typed, slot.(), item]
      end)
    end
  end

  defmodule Item do
    alias FlyDeployAgent.LiveViewTest, as: Test
    def mount(socket), do: {:ok, Utils.assign(socket, :k, 0)}

    def render(assigns),
      do: Rendered.new([" (item#{Test.version(assigns)} k=", ")"], fn _ -> [to_string(assigns.k)] end)
  end

  defmodule Serializer do
    def encode!(%{event: "diff", topic: "lv:1", join_ref: "4", payload: payload}), do: {:page, payload}
  end

  # A mounted view's state, and what its page shows. 1.0 keeps the prints in the socket, later ones in the state.
  defp mounted(live_view, assigns) do
    code = :counters.new(1, [])
    load(code, 1)
    assigns = Map.merge(%{code: code, n: 1, carts: ["a", "b", "c"], __changed__: %{}}, assigns)
    socket = %Socket{view: Shop, assigns: assigns, transport_pid: self()}
    rendered = Renderer.to_rendered(socket, Shop)
    {diff, prints, components} = Diff.render(socket, rendered, {nil, %{}}, Diff.new_components())
    state = %{socket: socket, components: components, topic: "lv:1", join_ref: "4", serializer: Serializer}

    state =
      if live_view == "1.0",
        do: %{state | socket: Map.put(socket, :fingerprints, prints)},
        else: Map.put(state, :fingerprints, prints)

    {state, Browser.merge(nil, diff), code}
  end

  # An event of the component `cid`.
  defp event({state, page, code}, cid, assigns) do
    assign = fn socket, _module -> {Utils.assign(socket, assigns), :ok} end
    {diff, components, :ok} = Diff.write_component(state.socket, cid, state.components, assign)
    {%{state | components: components}, Browser.merge(page, diff), code}
  end

  defp used(live_view, assigns \\ %{}) do
    live_view
    |> mounted(assigns)
    |> event(1, %{n: 4, typed: "half"})
    |> event(2, %{n: 7, opened: true})
    |> event(4, %{k: 3})
  end

  # Something in some of the components.
  defp happen({%{components: {cids, _, _}}, _, _} = page) do
    for {cid, {module, _, _, _, _}} <- cids, :rand.uniform(2) == 1, reduce: page do
      page ->
        cart = [%{n: :rand.uniform(9)}, %{typed: "text"}, %{opened: true}, %{opened: true, typed: "more"}]
        event(page, cid, if(module == Item, do: %{k: :rand.uniform(9)}, else: Enum.random(cart)))
    end
  end

  defp render({state, page, code}) do
    load(code, 2)
    assert Page.fits?(state)
    assert {state, {to, {:page, diff}}} = Page.render(state)
    assert to == self()
    {state, Browser.merge(page, diff), code}
  end

  defp text({_state, page, _code}), do: Browser.text(page)

  # LiveView goes on as if it had rendered them itself.
  defp rendered?({%{components: {cids, _, _}}, _, _}) do
    Enum.all?(cids, fn {_cid, {_, _, assigns, _, {print, _}}} ->
      assigns.__changed__ == %{} and print != nil
    end)
  end

  defp components({%{components: {cids, _, _}}, _, _}), do: cids |> Map.keys() |> Enum.sort()

  @before "shop1 n=1 badge1 [cart1 a n=4 half slot1 1] [cart1 b n=7  slot1 1 (item1 k=3)] [cart1 c n=0  slot1 1]"
  @later "shop2 n=1 badge2 [cart2 a n=4 half slot2 1] [cart2 b n=7  slot2 1 (item2 k=3)] [cart2 c n=0  slot2 1]"

  for live_view <- ["1.0", "1.2"] do
    @live_view live_view

    test "#{live_view}: pages show all that is new, and their components keep their states" do
      page = used(@live_view)
      assert text(page) == @before
      page = render(page)
      assert text(page) == @later
      assert components(page) == [1, 2, 3, 4]
      assert rendered?(page)
    end

    test "#{live_view}: components that nothing happened to are rendered once" do
      test = self()
      in_cart = &send(test, {:rendered, &1.id, version(&1)})
      page = @live_view |> mounted(%{passed: %{in_cart: in_cart}}) |> event(2, %{opened: true}) |> render()
      assert text(page) =~ "[cart2 a n=0  slot2 1] [cart2 b n=0  slot2 1 (item2 k=0)] [cart2 c n=0  slot2 1]"
      assert rendered?(page)
      for id <- ["a", "b", "c"], do: assert_received({:rendered, ^id, 2})
      refute_received {:rendered, _, 2}
    end

    test "#{live_view}: whatever happened on a page, it is shown as it was, with the new templates" do
      for seed <- 1..200 do
        :rand.seed(:exsss, seed)
        carts = for id <- 1..:rand.uniform(6), do: "cart#{id}"
        page = @live_view |> mounted(%{carts: carts}) |> happen() |> happen()
        new = render(page)
        assert text(new) == String.replace(text(page), ~r/(shop|badge|\[cart|slot|item)1/, "\\g{1}2")
        assert rendered?(new)
        new = happen(new)
        assert text(render(new)) == text(new)
      end
    end

    test "#{live_view}: what follows is LiveView's own" do
      page = used(@live_view) |> render() |> event(3, %{n: 1, opened: true}) |> event(5, %{k: 1})

      assert text(page) ==
               String.replace(@later, "[cart2 c n=0  slot2 1]", "[cart2 c n=1  slot2 1 (item2 k=1)]")

      assert page |> render() |> text() == text(page)
    end
  end

  test "a component has what its parent passes to it since the new code, and keeps what it had" do
    in_cart = fn assigns -> if version(assigns) == 2, do: %{colour: "red"} = assigns end
    page = used("1.2", %{passed: %{colour: "red", n: 0, in_cart: in_cart}}) |> render()
    assert text(page) == @later
  end

  test "a component that cannot be rendered as it was is updated" do
    in_cart = fn assigns -> if version(assigns) == 2, do: %{price: {:money, 1}} = assigns end
    page = used("1.2", %{passed: %{price: {:money, 1}, in_cart: in_cart}}) |> render()
    assert text(page) == String.replace(@later, "half", "")
  end

  test "components that have left the page, and new ones" do
    {state, page, code} = used("1.2")
    state = put_in(state.socket.assigns.carts, ["b", "d"])
    page = render({state, page, code})
    assert text(page) == "shop2 n=1 badge2 [cart2 b n=7  slot2 1 (item2 k=3)] [cart2 d n=0  slot2 1]"
    # Until the client says that it has forgotten them.
    assert components(page) == [1, 2, 3, 4, 5]
    {%{components: {%{1 => left}, _, _}}, _, _} = page
    assert %{n: 4, typed: "half"} = elem(left, 2)
  end

  test "events that hooks push are sent, once" do
    {state, page, code} = used("1.2")
    push = fn socket -> put_in(socket.private.live_temp[:push_events], [["hello", %{}]]) end
    state = put_in(state.socket.private.lifecycle.after_render, [push])
    load(code, 2)
    assert {state, {_, {:page, %{e: [["hello", %{}]]} = diff}}} = Page.render(state)
    assert page |> Browser.merge(diff) |> Browser.text() == @later
    assert state.socket.private.live_temp == %{}
  end

  test "states of another shape are left alone" do
    {state, _, _} = used("1.2")
    assert Page.supported?()
    refute Page.fits?(make_ref())
    refute Page.fits?(%{state | components: {%{1 => {Cart, "a", %{}}}, %{}, 2}})
    refute Page.fits?(Map.delete(state, :fingerprints))
    refute Page.fits?(%{state | socket: Map.delete(state.socket, :transport_pid)})
    refute Page.fits?(put_in(state.socket.redirected, {:redirect, "/"}))
  end

  # -- views as processes

  defmodule View do
    use GenServer
    def start(page), do: GenServer.start(__MODULE__, page)

    def init(state) do
      if is_map(state), do: Process.put(:"$initial_call", {state.socket.view, :mount, 3})
      {:ok, state}
    end

    def handle_call(:state, _from, state), do: {:reply, state, state}
    def handle_call(fun, _from, state), do: {:reply, fun.(), state}
  end

  defp view(assigns \\ %{}) do
    {state, page, code} = used("1.2", assigns)
    {:ok, pid} = View.start(state)
    %{pid: pid, state: state, page: page, code: code}
  end

  defp held(views) do
    pids = Enum.map(views, & &1.pid)
    dead = spawn(fn -> :ok end)
    assert LiveView.views(pids) == pids
    assert LiveView.hold(pids, dead, 1_000) == pids
    for %{code: code} <- views, do: load(code, 2)
    {pids, dead}
  end

  defp soon(ms \\ 5_000), do: System.monotonic_time(:millisecond) + ms
  defp state(%{pid: pid}), do: GenServer.call(pid, :state)

  defp aside?(%{pid: pid}) do
    {:dictionary, dictionary} = Process.info(pid, :dictionary)
    List.keymember?(dictionary, :"$flydeploy_page", 0)
  end

  test "pages get what was rendered when all have, and views take it" do
    views = [view(), view()]
    {pids, dead} = held(views)
    rendered = LiveView.render(pids, dead, soon())
    assert Enum.sort(rendered.done) == Enum.sort(pids)
    assert %{failures: [], late: [], unknown: []} = rendered
    refute_received {:page, _}

    LiveView.show(rendered, dead)
    FlyDeployAgent.Rounds.tell(pids, dead, :resume)

    for view <- views do
      assert state(view) != view.state
      assert_receive {:page, diff}
      assert view.page |> Browser.merge(diff) |> Browser.text() == @later
      refute aside?(view)
    end
  end

  test "a template that raises leaves all as it was" do
    [good, bad] = views = [view(), view(%{in_template: &(&1 == 2 and raise("cannot")), secret: "s3cret"})]
    {pids, dead} = held(views)
    assert %{done: [done], failures: [failure], late: []} = LiveView.render(pids, dead, soon())
    assert done == good.pid
    assert %{pid: pid, module: Shop, reason: "not_rendered", exception: "** (RuntimeError) cannot"} = failure
    assert pid == bad.pid
    assert Enum.any?(failure.stack, &(&1 =~ "Shop.render/1"))
    refute Enum.any?(failure.stack, &(&1 =~ "LiveView.Page"))
    refute inspect(failure) =~ "s3cret"

    LiveView.drop(pids, dead)
    FlyDeployAgent.Rounds.tell(pids, dead, :resume)
    for view <- views, do: assert(state(view) == view.state and not aside?(view))
    refute_received {:page, _}
  end

  test "what a library says of an assign's value is not told" do
    library = &Keyword.validate!(List.wrap(if(&1 == 2, do: {:s3cret, 1})), [])
    runtime = &(&1 == 2 and String.to_integer("s3cret#{&1}"))

    # What raises and explains is loaded here: whoever must load it first may be taken for one that is busy.
    for template <- [library, runtime] do
      try do
        template.(2)
      catch
        :error, raised -> FlyDeployAgent.Failure.explain({:error, {:EXIT, {raised, __STACKTRACE__}}})
      end
    end

    {pids, dead} = held([view(%{in_template: library}), view(%{in_template: runtime})])

    assert %{failures: [_, _] = failures} = LiveView.render(pids, dead, soon())
    assert Enum.all?(failures, &(&1.exception =~ "** (ArgumentError) (its text is not shown"))
    refute inspect(failures) =~ "s3cret"
    LiveView.drop(pids, dead)
    FlyDeployAgent.Rounds.tell(pids, dead, :resume)
  end

  # Blocks until it is told to go on.
  defp blocked(test) do
    send(test, {:blocked, self()})
    receive do: (:go -> :ok)
  end

  test "a view that waits for somebody takes what it rendered when it gets there" do
    test = self()
    [_, late] = views = [view(), view(%{in_template: &(&1 == 2 and blocked(test))})]
    {pids, dead} = held(views)
    rendered = LiveView.render(pids, dead, soon())
    assert %{done: [_], late: [pid]} = rendered
    assert pid == late.pid
    LiveView.show(rendered, dead)
    FlyDeployAgent.Rounds.tell(pids, dead, :resume)
    assert_received {:blocked, ^pid}
    assert_receive {:page, _}
    refute_received {:page, _}
    send(pid, :go)
    assert %{done: [^pid, _], late: []} = LiveView.render_late(rendered, [], dead)
    assert_receive {:page, diff}
    assert late.page |> Browser.merge(diff) |> Browser.text() == @later
    assert state(late) != late.state
  end

  test "a busy view is not held, and renders when it is told to" do
    test = self()
    [idle, busy] = [view(), view()]
    spawn_link(fn -> GenServer.call(busy.pid, fn -> blocked(test) end) end)
    assert_receive {:blocked, pid}
    dead = spawn(fn -> :ok end)
    assert LiveView.hold([idle.pid, pid], dead, 1_000) == [idle.pid]
    FlyDeployAgent.Rounds.tell([idle.pid], dead, :resume)
    load(busy.code, 2)
    send(pid, :go)
    assert %{done: [^pid]} = LiveView.render_late(LiveView.none(), [pid], dead)
    assert_receive {:page, _}
    assert state(busy) != busy.state and not aside?(busy)
  end

  test "the dead are not waited for, and views that are not mounted are left alone" do
    [dying, living] = [view(), view()]
    {:ok, joining} = View.start(make_ref())
    {pids, dead} = held([dying, living])
    Process.exit(dying.pid, :kill)
    assert LiveView.views([joining]) == []
    assert %{done: [done], unknown: [^joining], late: []} = LiveView.render([joining | pids], dead, soon())
    assert done == living.pid
  end

  # -- the window

  defp window(views),
    do:
      Windows.new(visible: true, views: Enum.map(views, & &1.pid), migration_ms: 1_000, max_suspend_ms: 5_000)

  # The new code is there from the beginning: idle views do not look at it before they are told to render.
  defp commit(views, extra \\ %{}) do
    window = struct!(window(views), extra)
    result = Windows.run(window, nil, fn -> for %{code: code} <- views, do: load(code, 2) end)
    {result, Cell.longest_us(window.cell)}
  end

  test "a commit shows the new code on all pages, whatever their views were doing" do
    {:ok, server} = Agent.start(fn -> :answer end)
    target = %{pid: server, module: Server, kind: :agent, units: []}

    views =
      [_, busy, _] = [view(), view(), view(%{in_template: &(&1 == 2 and Agent.get(server, fn s -> s end))})]

    spawn_link(fn -> GenServer.call(busy.pid, fn -> Process.sleep(100) end) end)
    assert {%{outcome: :committed, views: 3, failures: []}, _us} = commit(views, %{targets: [target]})
    for _ <- views, do: assert_receive({:page, _})
    for view <- views, do: refute(aside?(view) or state(view) == view.state)
  end

  defmodule Born do
    use GenServer
    @vsn "1"
    def init(s), do: {:ok, s}
    def code_change(_, s, _), do: {:ok, s}
  end

  test "a view that was born in the window shows the new code, also beside a process that migrates" do
    known = Births.known(Process.list())
    {:ok, _} = GenServer.start(Born, nil)
    view = view()
    changed = %{Born => %{code_change: [3], behaviours: [], vsn: "1"}}
    window = struct!(window([]), known: known, changed: changed)
    result = Windows.run(window, nil, fn -> load(view.code, 2) end)
    assert %{outcome: :committed, migrated: 1, views: 1} = result
    assert_receive {:page, _}
    assert state(view) != view.state
  end

  test "a successor of the agent shows pages that it had not come to, and names those that cannot" do
    views = [view(), view(%{in_template: &(&1 == 2 and raise("cannot"))})]
    window = window(views)
    for step <- [:migrating, :resuming, :done], do: Cell.enter(window.cell, step)
    for %{code: code} <- views, do: load(code, 2)
    assert %{outcome: :committed, views: 1, failures: [failure]} = Commit.settle(window)
    assert %{module: Shop, reason: "not_rendered", pid: pid} = failure
    [shown, kept] = views
    assert pid == kept.pid and state(kept) == kept.state
    assert_receive {:page, _}
    assert state(shown) != shown.state
  end

  test "views that suspend one after the other do not use up the budget" do
    [first | others] = for _ <- 1..200, do: view().pid
    asker = self()

    for pid <- others,
        do: send(pid, {:"$gen_call", {self(), make_ref()}, fn -> receive(do: (:go -> :ok)) end})

    window = %{window([]) | views: [first | others], suspend_ms: 5_000, max_suspend_ms: 1}
    Cell.open(window.cell)
    let_go = spawn_link(fn -> let_go_in_turn(first, others, asker) end)
    %{held: held} = Suspension.hold_views(window)
    Process.unlink(let_go)
    Process.exit(let_go, :kill)
    refute List.last(others) in held
    for pid <- [first | others], do: Process.exit(pid, :kill)
  end

  # Each when the one before has suspended, and whoever asked them has heard of it.
  defp let_go_in_turn(_before, [], _asker), do: :ok

  defp let_go_in_turn(before, [next | others], asker) do
    Process.sleep(1)

    if FlyDeployAgent.Stack.suspended?(before) and FlyDeployAgent.Rounds.waits?(asker) do
      send(next, :go)
      let_go_in_turn(next, others, asker)
    else
      let_go_in_turn(before, [next | others], asker)
    end
  end

  test "a template that raises takes the window back, and no page notices" do
    views = [view(), view(%{in_template: &(&1 == 2 and raise("cannot"))})]
    assert {%{outcome: :rolled_back, failures: [failure], killed: []}, _us} = commit(views)
    assert %{module: Shop, reason: "not_rendered", pid: pid} = failure
    assert pid == List.last(views).pid
    for view <- views, do: assert(state(view) == view.state and not aside?(view))
    refute_received {:page, _}
  end

  # What is swapped late, and so must be freed in a rollback.
  defp deferred do
    module = :"deferred#{System.unique_integer([:positive])}"
    {:ok, ^module, beam} = :compile.forms([{:attribute, 1, :module, module}])
    {:ok, forward} = Loader.prepare([{module, "deferred", beam}])
    on_exit(fn -> Loader.unload([module]) end)
    %{deferred: [module], forward: forward, md5: %{module => {nil, Beam.md5(beam)}}}
  end

  test "a template that raises is only told of where there is no time to free all old code" do
    views = [view(), view(%{in_template: &(&1 == 2 and raise("cannot"))})]
    extra = Map.put(deferred(), :purge_us, 5_000_000)
    assert {%{outcome: :committed, failures: [failure], killed: []}, _us} = commit(views, extra)
    assert %{module: Shop, reason: "not_rendered", pid: pid} = failure
    [shown, kept] = views
    assert pid == kept.pid and state(kept) == kept.state
    assert_receive {:page, _}
    assert state(shown) != shown.state
    refute_received {:page, _}
  end

  test "pages are counted, and all of those that are looked at must have a shape that is known" do
    [fit, other] = [view(), view()]
    assert LiveView.pages([]) == {0, false}
    assert LiveView.pages([self(), fit.pid, other.pid]) == {2, true}
    :sys.replace_state(other.pid, &Map.delete(&1, :fingerprints))
    assert LiveView.pages([fit.pid, other.pid]) == {2, false}
    :sys.replace_state(other.pid, fn _ -> other.state end)
  end

  test "a page of a shape that is not known gets nothing, and shows the new code at its next event" do
    [shown, other] = views = [view(), view()]
    :sys.replace_state(other.pid, &Map.delete(&1, :fingerprints))
    before = state(other)
    assert {%{outcome: :committed, views: 1, failures: []}, _us} = commit(views)
    assert_receive {:page, _}
    refute_received _
    assert state(other) == before
    assert state(shown) != shown.state
  end

  test "what may be part of a page" do
    facts = %{template: false, behaviours: [GenServer]}
    refute LiveView.visible?([facts], [])
    assert LiveView.visible?([facts, %{facts | template: true}], [])

    for behaviour <- [Phoenix.LiveView, Phoenix.LiveComponent],
        do: assert(LiveView.visible?([%{facts | behaviours: [behaviour]}], []))

    # Pages name static files by their digests.
    assert LiveView.visible?([facts], [{"new/app-2.css", "/app/lib/shop-1.0.0/priv/static/app-2.css"}])
    refute LiveView.visible?([facts], [{"new/a.mo", "/app/lib/shop-1.0.0/priv/gettext/a.mo"}])
  end
end
