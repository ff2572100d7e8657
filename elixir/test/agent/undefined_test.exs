Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.UndefinedTest do
  use ExUnit.Case

  alias FlyDeployAgent.{CodeFacts, Demands, Held, Impact, Mfas, Protocols, Undefined, Versions}

  test "functions that code names, to be called by others" do
    code = fn body ->
      [{_, beam}] = Enum.to_list(Versions.beams("defmodule T.Names do\n  #{body}\nend"))
      {:ok, code} = CodeFacts.functions(beam)
      Mfas.of(code)
    end

    assert code.("def jobs, do: [{:daily, {T.Job, :run, [1]}}]") == [{T.Job, :run, 1}]
    assert code.("def jobs, do: %{daily: {T.Job, :run, []}}") == [{T.Job, :run, 0}]
    assert code.("def job(x), do: {x, &T.Job.run/2}") == [{T.Job, :run, 2}]
    # How many arguments there are is not known.
    assert code.("def job(x), do: {T.Job, :run, [x]}") == []
    assert code.("def job, do: {:a, :b, \"c\"}") == []
  end

  test "a name that a changed module has of what is gone" do
    source =
      "defmodule T.Job do\n  def run(n), do: n\nend\ndefmodule T.Cron do\n  def jobs, do: [{T.Job, :run, [1]}]\n  def n, do: 1\nend\n"

    find = fn new ->
      pairs = Versions.pairs(Versions.beams(source), Versions.beams(new))
      Undefined.names(pairs, Undefined.gone(pairs))
    end

    renamed =
      String.replace(source, "def run(n)", "def perform(n)") |> String.replace("def n, do: 1", "def n, do: 2")

    assert [%{name: "mfa_gone", severity: :warn, subject: "T.Job.run/1", detail: detail}] = find.(renamed)
    assert detail =~ "T.Cron names it"
    assert find.(String.replace(renamed, ":run, [1]", ":perform, [1]")) == []
  end

  # What all of them take together would be much.
  test "modules are read one after the other, and not kept" do
    test = self()
    for module <- [CodeFacts, Demands, Held, Impact], do: Code.ensure_loaded!(module)
    traced = [{File, :read, 1}, {CodeFacts, :functions, 1}]
    for mfa <- traced, do: :erlang.trace_pattern(mfa, true, [])

    Task.await(
      Task.async(fn ->
        :erlang.trace(self(), true, [:call, {:tracer, test}])
        Undefined.names([], MapSet.new([{CodeFacts, :functions, 1}, {CodeFacts, :atoms, 1}]))
      end),
      :infinity
    )

    delivered = :erlang.trace_delivered(:all)
    receive do: ({:trace_delivered, :all, ^delivered} -> :ok)
    for mfa <- traced, do: :erlang.trace_pattern(mfa, false, [])
    {:messages, messages} = Process.info(self(), :messages)
    calls = for {:trace, _, :call, {_, function, _}} <- messages, do: function
    assert Enum.count(calls, &(&1 == :functions)) > 1
    # Others are read when the first has been looked at.
    assert :read in Enum.drop_while(calls, &(&1 == :read))
  end

  test "a protocol that falls back to nothing any more, and is called" do
    # As consolidation leaves it.
    source = """
    defmodule T.Fmt do
      def __protocol__(:consolidated?), do: true
      def impl_for(x) when is_integer(x), do: T.Fmt.Integer
      def impl_for(_), do: T.Fmt.Any
      def fmt(x), do: impl_for(x).fmt(x)
    end
    defmodule T.User do
      def text(x), do: T.Fmt.fmt(x)
      def n, do: 1
    end
    """

    find = fn new -> Protocols.findings(Versions.pairs(Versions.beams(source), Versions.beams(new))) end

    gone =
      source |> String.replace("do: T.Fmt.Any", "do: nil") |> String.replace("def n, do: 1", "def n, do: 2")

    assert [%{name: "impl_gone", severity: :warn, subject: "T.Fmt for Any"}] = find.(gone)
    assert find.(String.replace(source, "def n, do: 1", "def n, do: 2")) == []
    assert find.(String.replace(gone, "T.Fmt.fmt(x)", "inspect(x)")) == []
  end

  test "a module without a file, which was made while it runs, is not asked what it calls" do
    source = "defmodule T.Rate do\n  def of(n), do: n\nend\n"
    made = Versions.beams("defmodule T.Made do\n  def price, do: T.Rate.of(1)\nend\n")[T.Made]

    pairs =
      Versions.pairs(Versions.beams(source), Versions.beams(String.replace(source, "def of", "def rate")))

    found = fn -> for f <- Undefined.findings(pairs, Undefined.gone(pairs), []), do: f.detail =~ "T.Made" end

    try do
      {:module, _} = :code.load_binary(T.Made, ~c"nofile", made)
      refute true in found.()
      dir = Path.join(System.tmp_dir!(), "made_#{System.unique_integer([:positive])}")
      File.mkdir_p!(dir)
      file = Path.join(dir, "Elixir.T.Made.beam")
      File.write!(file, made)
      {:module, _} = :code.load_binary(T.Made, String.to_charlist(file), made)
      assert true in found.()
      File.rm_rf!(dir)
    after
      :code.purge(T.Made)
      :code.delete(T.Made)
    end
  end
end
