defmodule FlyDeploy.AppliedChildrenTest do
  # What the hook does at a restart of a machine whose upgrade has applied children: `:image` stands for the image's code, which puts the
  # trees together that have begun before the new code is loaded, and `:new` for that.
  use ExUnit.Case

  import ExUnit.CaptureLog

  alias FlyDeploy.AppliedChildren
  alias FlyDeployAgent.AppChildren

  defmodule Worker do
    use GenServer
    def start_link({name, value}), do: GenServer.start_link(__MODULE__, value, name: name)
    def child_spec({name, value}), do: %{id: name, start: {__MODULE__, :start_link, [{name, value}]}}
    def init(:stops), do: {:stop, :no_luck}
    def init(value), do: {:ok, value}
    def handle_call(:get, _from, value), do: {:reply, value, value}
  end

  defmodule Code do
    def list(of),
      do: :persistent_term.get({__MODULE__, :lists})[:persistent_term.get({__MODULE__, :code})][of]

    def load(code), do: :persistent_term.put({__MODULE__, :code}, code)
    def lists(lists), do: :persistent_term.put({__MODULE__, :lists}, lists)
  end

  # An application that the main one needs: a supervisor with a module of its own, and a tree that start/2 puts together.
  defmodule Sup do
    use Supervisor
    def start_link(arg), do: Supervisor.start_link(__MODULE__, arg, name: __MODULE__)
    def init(_arg), do: Supervisor.init(Code.list(:sup), strategy: :one_for_one)
  end

  defmodule Needed do
    use Application
    def start(_type, _args), do: Supervisor.start_link(children(), strategy: :one_for_one, name: __MODULE__)
    def children, do: [Sup | Code.list(:needed)]
  end

  # The main one, whose start/2 calls the hook, and goes on in the image's code.
  defmodule App do
    use Application

    def start(_type, upgrade) do
      image = children(upgrade)
      found = AppliedChildren.find(upgrade, :t_main, [App, Sup, Needed])
      Code.load(:new)
      later = AppliedChildren.apply_all(found, :t_main)
      send(upgrade.test, {:goes_on, later, for(module <- [Sup, Needed], do: ids(module))})
      Supervisor.start_link(image, strategy: :one_for_one, name: __MODULE__)
    end

    def children(_upgrade), do: Code.list(:main)

    def ids(supervisor),
      do: Enum.sort(for {id, pid, _, _} <- Supervisor.which_children(supervisor), do: {id, is_pid(pid)})
  end

  setup do
    on_exit(fn ->
      for app <- [:t_main, :t_needed] do
        Application.stop(app)
        Application.unload(app)
      end

      Application.delete_env(:flydeploy, :unstarted)
    end)
  end

  defp boot(image, new, upgrade) do
    Code.lists(%{image: image, new: new})
    Code.load(:image)
    app(:t_needed, {Needed, []}, [])
    app(:t_main, {App, Map.put(upgrade, :test, self())}, [:t_needed])
    {:ok, _} = Application.ensure_all_started(:t_needed)
    # What somebody has started since, and no code names.
    {:ok, _} = Supervisor.start_child(Sup, {Worker, {:by_hand, 1}})
    :ok = Application.start(:t_main)
    assert_receive {:goes_on, later, needed}
    monitor = if is_pid(later), do: Process.monitor(later)
    if monitor, do: assert_receive({:DOWN, ^monitor, :process, _, :normal}, 60_000)
    needed
  end

  defp app(name, mod, needs) do
    modules = [elem(mod, 0)]

    :ok =
      :application.load(
        {:application, name, vsn: ~c"1", modules: modules, applications: [:kernel, :stdlib | needs], mod: mod}
      )
  end

  test "trees that the image's code has begun get the children of the new code, and their arguments" do
    {one, two, three} = {{Worker, {:t_one, 1}}, {Worker, {:t_two, 2}}, {Worker, {:t_three, 3}}}

    image = %{
      main: [one, two],
      sup: [{Worker, {:s_one, 1}}, {Worker, {:s_two, 1}}],
      needed: [{Worker, {:n_one, 1}}]
    }

    new = %{
      main: [{Worker, {:t_one, 11}}, three],
      sup: [{Worker, {:s_one, 11}}, {Worker, {:s_three, 1}}],
      needed: [{Worker, {:n_one, 11}}, {Worker, {:n_two, 1}}]
    }

    log =
      capture_log(fn ->
        # Those that are needed, before this one goes on.
        assert boot(image, new, %{apply_children: "keep"}) == [
                 [by_hand: true, s_one: true, s_three: true],
                 [{Sup, true}, {:n_one, true}, {:n_two, true}]
               ]

        assert App.ids(App) == [t_one: true, t_three: true]
      end)

    for {name, value} <- [t_one: 11, t_three: 3, s_one: 11, n_one: 11],
        do: assert(GenServer.call(name, :get) == value)

    assert log =~ "FlyDeploy started 2, ended 1 and restarted 2 children of the hot upgrade's trees"
  end

  test "an upgrade that applies no children leaves them as the image has them" do
    image = %{main: [{Worker, {:t_one, 1}}], sup: [], needed: []}
    new = %{main: [{Worker, {:t_two, 1}}], sup: [{Worker, {:s_one, 1}}], needed: []}
    assert boot(image, new, %{apply_children: nil}) == [[by_hand: true], [{Sup, true}]]
    assert App.ids(App) == [t_one: true]
    assert AppliedChildren.find(%{apply_children: nil}, :t_main, []) == nil
  end

  test "what start/2 has already started as the new code wants it is not started again" do
    new = %{main: [{Worker, {:t_one, 11}}], sup: [], needed: []}
    boot(new, new, %{apply_children: "restart"})
    pid = Process.whereis(:t_one)
    found = AppliedChildren.find(%{apply_children: "restart"}, :t_main, [App])
    assert %{restarted: 0, started: 0, ended: 0} = AppChildren.apply_all(found.later, :restart)
    assert Process.whereis(:t_one) == pid
  end

  test "a failure is logged, and the boot goes on" do
    log = capture_log(fn -> assert is_pid(AppliedChildren.apply_all(%{now: [%{}], later: []}, :kernel)) end)

    assert log =~ "FlyDeploy could not apply the children of the hot upgrade: an unexpected error"
  end

  test "one that does not start is logged, and told by the next plan" do
    image = %{main: [{Worker, {:t_one, 1}}], sup: [], needed: []}
    new = %{image | main: [{Worker, {:t_one, 1}}, {Worker, {:t_two, :stops}}]}

    log =
      capture_log(fn ->
        boot(image, new, %{apply_children: "keep"})
        assert App.ids(App) == [t_one: true, t_two: false]
      end)

    assert log =~ "FlyDeploy could not apply the children of the hot upgrade: :t_two did not start: :no_luck"
    assert [%{name: "child_not_started", subject: subject, detail: detail}] = AppChildren.unstarted(:keep)
    assert subject == inspect(App) and detail =~ ":t_two (:no_luck)"

    # And by status and doctor, until it runs.
    assert undone() == ["child_not_started :t_two of #{inspect(App)} (:no_luck)"]
    Application.put_env(:flydeploy, :untold, [{:shop, :rates, :changed}, {:shop, :limit, :new}])
    assert ["child_not_started " <> _, "config_not_taken :shop (:rates, :limit)"] = undone()
    Application.delete_env(:flydeploy, :untold)
    :sys.replace_state(App, &put_elem(&1, 3, runs(elem(&1, 3), :t_two)))
    assert undone() == []
    # A supervisor that does not answer may still wait for it.
    :sys.suspend(App)
    assert ["child_not_started :t_two" <> _] = undone()
    :sys.resume(App)
    Application.stop(:t_main)
    assert undone() == []
  end

  # As if its supervisor had started it since.
  defp runs({ids, children}, id),
    do: {ids, Map.update!(children, id, &put_elem(&1, 1, spawn(fn -> Process.sleep(:infinity) end)))}

  defp undone do
    bound = __DIR__ |> Path.join("../../hook.exs") |> File.read!() |> Elixir.Code.eval_string() |> elem(1)
    for {"undone", text} <- bound[:undone], do: text
  end
end
