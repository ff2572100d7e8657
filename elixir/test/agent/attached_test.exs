Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.AttachedTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Attached, Versions}

  @source """
  defmodule T.Logs do
    def attach do
      Bus.add([:app, :stop], {T.Logs, :stop}, 50)
      Bus.capture(:start, &T.Logs.start/1)
    end
    def never, do: Other.add(:x, {T.Logs, :idle})
    def stop(x), do: x
    def start(x), do: x
    def idle(x), do: x
    def handle_info(_, s), do: s
  end

  defmodule T.Setup do
    def attach, do: Bus.listen(:idle, {T.Logs, :stop})
  end
  """

  # {what, edits, findings}
  @changes [
    {"nothing that matters", [{"def stop(x), do: x", "def stop(x), do: [x]"}], []},
    {"another priority", [{"50)", "898)"}], []},
    {"another event", [{":stop], {", ":exception], {"}], ["attaches stop by Bus.add/3 ([:app, :exception])"]},
    {"another event, by a capture", [{":start, &", ":begin, &"}],
     ["attaches start by Bus.capture/2 (:begin)"]},
    {"a further one", [{"50)\n", "50)\n      Bus.add([:app, :more], {T.Logs, :idle}, 50)\n"}],
     ["attaches idle"]},
    {"one that others attach", [{"50)\n", "50)\n      Bus.add([:app, :more], {Enum, :count}, 50)\n"}], []},
    {"one that takes the place of what is gone",
     [{"{T.Logs, :stop}", "{T.Logs, :ended}"}, {"def stop(x)", "def ended(x)"}], []},
    {"what was never attached", [{"add(:x,", "add(:y,"}], []},
    {"another event, by another module",
     [{"listen(:idle", "listen(:busy"}, {"def stop(x), do: x", "def stop(x), do: [x]"}],
     ["attaches stop by Bus.listen/2 (:busy)"]},
    {"when a message comes",
     [
       {"def handle_info(_, s), do: s",
        "def handle_info(_, s), do: Bus.add([:app, s], {T.Logs, :idle}, 50) && Bus.add([:a], {T.Logs, :stop}, 50)"}
     ], []}
  ]

  test "functions that are attached otherwise" do
    :ets.new(:attached_test, [:named_table, :public])

    :ets.insert(:attached_test, [
      {[:app, :stop], 50, {T.Logs, :stop}},
      {:start, Function.capture(T.Logs, :start, 1)}
    ])

    for {what, edits, findings} <- @changes do
      new = Versions.edited(@source, edits)
      found = Attached.findings(Versions.pairs(Versions.beams(@source), Versions.beams(new)))

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- findings, do: {"init_changed", :warn})}

      for {f, evidence} <- Enum.zip(found, findings), do: assert(f.detail =~ evidence)
    end
  end
end
