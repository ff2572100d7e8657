Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.KeptOptionsTest do
  use ExUnit.Case

  alias FlyDeployAgent.{KeptOptions, Value, Versions}

  @source """
  defmodule T.Limit do
    use GenServer
    def start_link(opts), do: GenServer.start_link(T.Limit, opts, name: T.Limit)
    def init(opts), do: {:ok, {opts[:max], Keyword.get(opts, :name)}}
  end
  defmodule T.Mailer do
    def start_link(name), do: T.Topology.start_link(name, pool: [size: 2, overflow: 0], module: {T.Mail, name})
  end
  """

  # {what, edits, findings}
  @changes [
    {"nothing that matters", [{"{:ok, {", "{:ok, {1, "}], []},
    {"an option is read by another name", [{"opts[:max]", "opts[:limit]"}],
     [{"child_spec_changed", "keeps :max for it"}]},
    {"by another, or its own", [{"opts[:max]", "opts[:limit] || opts[:max]"}], []},
    {"no longer", [{"opts[:max]", "5"}], []},
    {"one that it does not keep", [{"opts, :name", "opts, :title"}], []},
    {"other options of what it starts", [{"size: 2", "size: 3"}],
     [{"init_changed", "starts T.Topology with :size otherwise"}]},
    {"in another order", [{"size: 2, overflow: 0", "overflow: 0, size: 2"}], []},
    {"a further option", [{"overflow: 0", "overflow: 0, max: 1"}], []},
    {"another one starts it", [{"T.Topology.start_link", "T.Broad.start_link"}, {"size: 2", "size: 3"}], []}
  ]

  test "options of children" do
    children =
      for {module, argument} <- [{T.Limit, [max: 3]}, {T.Mailer, T.Pool}],
          do: %{
            supervisor: self(),
            start: {module, :start_link, 1},
            id: module,
            arguments: [Value.of(argument)],
            runs: true
          }

    for {what, edits, wanted} <- @changes do
      pairs = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      found = KeptOptions.findings(pairs, children)

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for({name, _} <- wanted, do: {name, :warn})}

      for {f, {_, text}} <- Enum.zip(found, wanted), do: assert(f.detail =~ text)
    end
  end
end
