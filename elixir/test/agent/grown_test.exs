Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.GrownTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Grown, Value, Versions}

  @source """
  defmodule T.Jobs do
    use GenServer
    def init(_), do: {:ok, %{jobs: %{}, queue: []}}
    def handle_call({:add, id}, from, s), do: {:reply, :ok, put_in(s.jobs[id], %{from: from, tries: 0})}
    def handle_call({:age, id}, _, s), do: {:reply, age(s.jobs[id]), s}
    defp age(%{tries: n}), do: n
  end
  """
  @more {"tries: 0}", "tries: 0, at: 1}"}

  # {what, edits, what stands under an id, evidence}
  @changes [
    {"a key that nobody takes", [@more], %{from: 1, tries: 0}, []},
    {"a key that a function takes",
     [
       @more,
       {"do: n", "do: n\n  defp age(job, at), do: job.at - at"},
       {"age(s.jobs[id])", "age(s.jobs[id], 0)"}
     ], %{from: 1, tries: 0}, ["takes :at of such (in age/2)"]},
    {"a key that a pattern wants", [@more, {"age(%{tries: n})", "age(%{tries: n, at: _})"}],
     %{from: 1, tries: 0}, ["1 process of T.Jobs"]},
    {"where entries have it", [@more, {"age(%{tries: n})", "age(%{tries: n, at: _})"}],
     %{from: 1, tries: 0, at: 1}, []},
    {"where entries are other maps", [@more, {"age(%{tries: n})", "age(%{tries: n, at: _})"}], %{from: 1},
     []},
    {"with a default",
     [
       @more,
       {"do: n", "do: n\n  defp age(job, at), do: Map.get(job, :at, 1) - at"},
       {"age(s.jobs[id])", "age(s.jobs[id], 0)"}
     ], %{from: 1, tries: 0}, []},
    {"with a clause for others", [@more, {"  defp age(", "  defp age(%{at: at}), do: at\n  defp age("}],
     %{from: 1, tries: 0}, []},
    {"with a code_change",
     [
       @more,
       {"age(%{tries: n})", "age(%{tries: n, at: _})"},
       {"  def init(", "  def code_change(_, s, _), do: {:ok, %{s | jobs: %{}}}\n  def init("}
     ], %{from: 1, tries: 0}, []}
  ]

  test "keys of entries that those which are there do not have" do
    for {what, edits, entry, evidence} <- @changes do
      pairs = Versions.pairs(Versions.beams(@source), @source |> Versions.edited(edits) |> Versions.beams())
      states = %{T.Jobs => [Value.of(%{jobs: %{7 => entry}, queue: [{1, entry}]})]}
      found = Grown.findings(states, Map.new(pairs, &{&1.module, &1}), [])

      assert {what, for(f <- found, do: {f.name, f.severity})} ==
               {what, for(_ <- evidence, do: {"stale_shape", :warn})}

      for {f, text} <- Enum.zip(found, evidence), do: assert(f.detail =~ text)
    end
  end
end
