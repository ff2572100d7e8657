defmodule FlyDeployAgent.ChildrenTest do
  use ExUnit.Case

  alias FlyDeployAgent.Children

  defmodule Job do
    use GenServer
    def start_link(a, b), do: GenServer.start_link(__MODULE__, {a, b})
    def init(state), do: {:ok, state}
  end

  test "what supervisors would call to start their children again" do
    {:ok, top} =
      Supervisor.start_link(
        [
          %{id: :job, start: {Job, :start_link, [1, 2]}},
          {DynamicSupervisor, name: __MODULE__.Dynamic, strategy: :one_for_one},
          %{
            id: :inner,
            type: :supervisor,
            start: {Supervisor, :start_link, [[{Agent, fn -> 1 end}], [strategy: :one_for_one]]}
          }
        ],
        strategy: :one_for_one
      )

    for n <- 1..3,
        do:
          {:ok, _} =
            DynamicSupervisor.start_child(__MODULE__.Dynamic, %{id: n, start: {Job, :start_link, [n, n]}})

    temporary = %{id: 4, start: {Job, :start_link, [4, 4]}, restart: :temporary}
    {:ok, _} = Supervisor.start_child(top, temporary)

    found = for child <- Children.under([top]), do: {child.start, child.id}

    assert Enum.sort(found) ==
             Enum.sort([
               {{Job, :start_link, 2}, :job},
               {{DynamicSupervisor, :start_link, 1}, __MODULE__.Dynamic},
               {{Supervisor, :start_link, 2}, :inner},
               {{Job, :start_link, 2}, nil},
               # The temporary one, whose arguments nobody keeps.
               {{Job, :start_link, -1}, nil},
               {{Agent, :start_link, 1}, Agent}
             ])
  end

  test "the supervisors of applications are asked, and those that stand outside of every tree" do
    {:ok, top} =
      Supervisor.start_link([%{id: :job, start: {Job, :start_link, [1, 2]}}], strategy: :one_for_one)

    {:ok, inner} = Supervisor.start_link([], strategy: :one_for_one)

    {:ok, _} =
      Supervisor.start_child(top, %{id: :in, start: {Function, :identity, [{:ok, inner}]}, type: :supervisor})

    Process.unlink(inner)
    asked = fn pids -> for %{supervisor: ^top} = child <- Children.running(pids), do: child.start end
    assert asked.([self(), inner, top]) -- [{Job, :start_link, 2}] == [{Function, :identity, 1}]
    assert asked.([]) == []
  end
end
