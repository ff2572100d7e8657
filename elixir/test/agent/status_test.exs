defmodule FlyDeployAgent.StatusTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.{Cell, Status}

  defp agent(extra) do
    Map.merge(
      %{
        order: %{id: "01TEST", owner: "me", size: 10},
        boot: "1-2",
        cell: Cell.new(),
        state: :staged,
        deadline: System.monotonic_time(:millisecond) + 60_000,
        phases: [%{name: "reload", at_us: 1, us: 2, status: "done"}],
        tail: [],
        downloaded: 10,
        staged: nil,
        result: nil,
        error: nil,
        report: nil,
        crashed: 0,
        watch: nil,
        vitals: %{told: nil, before: nil},
        queues: %{}
      },
      extra
    )
  end

  defp staged(modules, findings) do
    change = fn n ->
      %{module: Module.concat(A.Rather.Long.Module.Name, "M#{n}"), app: :app, change: :changed}
    end

    names = for n <- 1..50, do: "a_function_with_a_long_name_#{n}/#{n}"

    %{
      diff: %{changes: Enum.map(1..modules, change), removed: [], files: []},
      migrating: 0,
      version: "1.0.0",
      ran: nil,
      functions: Map.new(1..modules, &{change.(&1).module, %{added: names, changed: ["a/1"], removed: []}}),
      targets:
        for(n <- 1..modules, do: %{pid: self(), module: change.(n).module, kind: :gen_server, units: []}),
      findings:
        for(n <- 1..findings, do: %{name: "warn#{n}", severity: :warn, subject: "x", detail: "y"}) ++
          [%{name: "last", severity: :refuse, subject: "x", detail: "y"}],
      up_to_date: false,
      rollback_us: 0
    }
  end

  defp result(failures) do
    stack = List.duplicate("(app 1.0.0) lib/app/some/file.ex:123: App.Some.Server.code_change/3", 8)

    %{
      outcome: :rolled_back,
      migrated: 0,
      died: [],
      skipped: [],
      killed: [],
      targets: [],
      deferred: 0,
      fresh: [],
      views: 0,
      unplaced: [],
      failures:
        for n <- 1..failures do
          %{
            pid: self(),
            module: :"m#{n}",
            reason: "raised",
            exception: "** (E#{n}) #{String.duplicate("x", 200)}",
            stack: stack
          }
        end
    }
  end

  test "stays below 8 KB, and what is cut is counted" do
    for {modules, findings, failures} <- [{1, 1, 1}, {500, 40, 1}, {2_000, 500, 300}] do
      json = Status.encode(agent(%{staged: staged(modules, findings), result: result(failures)}), 7)
      assert byte_size(json) <= 8_000
      assert json =~ ~s("modules_total":#{modules})
      assert json =~ ~s("findings_total":#{findings + 1})
      assert json =~ ~s("failures_total":#{failures})
      assert json =~ ~s("seq":7)
    end
  end

  # A console reads no more than 16 KB.
  test "texts of any length are cut" do
    long = String.duplicate("é\"", 50_000)
    staged = staged(1, 20)
    staged = %{staged | findings: Enum.map(staged.findings, &%{&1 | subject: long, detail: long})}
    error = %{name: "lingering", what: "Shop is still run by " <> long}
    result = %{result(300) | unplaced: List.duplicate(long, 5)}
    json = Status.encode(agent(%{staged: staged, result: result, error: error, report: long}), 1)
    assert byte_size(json) <= 8_000
    assert json =~ ~s("what":"Shop is still run by é)
    assert json =~ ~s("name":"last")
    assert String.valid?(json)
  end

  test "the gravest findings are never cut" do
    json = Status.encode(agent(%{staged: staged(2_000, 500)}), 1)
    assert json =~ ~s("name":"last")
  end

  test "failures are counted by module, reason and exception" do
    alike = %{pid: self(), module: A, reason: "raised", exception: "** (RuntimeError) 1", stack: []}
    failures = [alike, %{alike | exception: "** (RuntimeError) 2"}, %{alike | exception: "** (KeyError) x"}]
    json = Status.encode(agent(%{result: %{result(1) | failures: failures}}), 1)
    assert json =~ ~s("failures_total":3)
    assert json |> String.split(~s("count":2)) |> length() == 2
  end

  @tag :tmp_dir
  test "seq follows the status, and grows", %{tmp_dir: dir} do
    s = agent(%{dir: dir})
    for n <- 1..3, do: assert({Status.write(s), File.read!(Path.join(dir, "seq"))} == {:ok, "#{n}\n"})
    assert dir |> File.ls!() |> Enum.sort() == ["seq", "status"]
    File.rm_rf!(dir)
    assert Status.write(s) == :ok
  end
end
