Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.MeasuredTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Measured, Versions}

  @source """
  defmodule T.Query do
    def run(n), do: :telemetry.execute([:t, :query], %{duration: n, rows: 1}, %{})
    def other(n), do: :telemetry.execute([:t, :other], %{duration: n})
  end
  """

  # {what, edits, keys}
  @changes [
    {"nothing that matters", [{"rows: 1", "rows: 2"}], []},
    {"a measurement has another name", [{"duration: n, rows", "total: n, rows"}], [":duration"]},
    {"one that nobody reads has another name", [{"rows: 1", "count: 1"}], []},
    {"a further one", [{"rows: 1", "rows: 1, total: n"}], []},
    {"that of an event that nobody is attached to", [{"other], %{duration: n}", "other], %{total: n}"}], []},
    {"another place measures it",
     [
       {"duration: n, rows: 1}, %{})",
        "rows: 1}, %{})\n  def more(n), do: :telemetry.execute([:t, :query], %{duration: n})"}
     ], []},
    {"what is measured is not known", [{"%{duration: n, rows: 1}", "Map.put(n, :rows, 1)"}], []}
  ]

  test "measurements that handlers were attached to read" do
    :ets.new(:telemetry_handler_table, [:named_table, :public, :duplicate_bag, keypos: 3])
    fun = Function.capture(T.Report, :handle, 4)

    :ets.insert(
      :telemetry_handler_table,
      {:handler, :a, [:t, :query], fun, %{sums: [%{measurement: :duration}]}}
    )

    :ets.insert(:telemetry_handler_table, {:handler, :b, [:t, :none], fun, :rows})

    for {what, edits, keys} <- @changes do
      found =
        Measured.findings(
          Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
        )

      assert {what, for(f <- found, do: {f.name, f.severity, f.subject})} ==
               {what, for(_ <- keys, do: {"stale_shape", :warn, "T.Query"})}

      for {f, key} <- Enum.zip(found, keys),
          do: assert(f.detail =~ "no longer measures #{key} with the event [:t, :query]")
    end
  end
end
