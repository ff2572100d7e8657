Code.require_file("versions.exs", __DIR__)

defmodule FlyDeployAgent.HandlersTest do
  use ExUnit.Case

  alias FlyDeployAgent.{Handlers, Pair, Versions}

  @source """
  defmodule T.Handler do
    def handle(_event, %{prefix: prefix}), do: prefix
    def work(job), do: job.id
    def helper(x), do: x
  end
  """

  @changes [
    {"nothing that matters", [{"helper(x), do: x", "helper(x), do: {x}"}], []},
    {"a handler wants another setting",
     [{"%{prefix: prefix}), do: prefix", "%{prefix: p, level: l}), do: {p, l}"}],
     [{"T.Handler.handle/2", :warn}]},
    {"a setting with a default",
     [{"%{prefix: prefix}), do: prefix", "%{prefix: p} = c), do: {p, c[:level]}"}], []},
    {"a job is to have another key", [{"job.id", "job.key"}], [{"T.Handler.work/1", :block}]}
  ]

  test "handlers with their settings, and jobs with their arguments, that tables hold" do
    old = Versions.beams(@source)
    table = :ets.new(:handlers_test, [:public])
    :ets.insert(table, {:log, [:event], Function.capture(T.Handler, :handle, 2), %{prefix: "p"}})
    :ets.insert(table, {:job, {T.Handler, :work, [%{id: 1}]}})

    for {what, edits, functions} <- @changes do
      new = Enum.reduce(edits, @source, fn {from, to}, text -> String.replace(text, from, to) end)
      pairs = Versions.pairs(old, Versions.beams(new))
      codes = fn version, module -> if module == T.Handler, do: Pair.code(hd(pairs), version) end
      found = Handlers.findings(pairs, codes)

      assert {what, for(f <- found, do: {f.name, f.subject, f.severity})} ==
               {what,
                for({f, severity} <- functions, do: {"stale_shape", "what #{f} is called with", severity})}
    end
  end

  @logging """
  defmodule T.LogHandler do
    def log(_event, %{config: %{to: to}}), do: to
    def format(event, %{colors: _}), do: event
    def filter(event, %{level: _}), do: event
    def primary(event, level), do: if(level != :off, do: event, else: :stop)
  end
  """

  @logging_changes [
    {"nothing that matters", [{"do: to\n", "do: {to}\n"}], []},
    {"a handler wants another setting", [{"%{to: to}}), do: to", "%{to: to, as: a}}), do: {to, a}"}],
     ["T.LogHandler.log/2"]},
    {"a formatter wants another setting", [{"%{colors: _}", "%{colors: _, width: _}"}],
     ["T.LogHandler.format/2"]},
    {"a filter wants another setting", [{"%{level: _}", "%{levels: _}"}], ["T.LogHandler.filter/2"]},
    {"a filter of all handlers wants a list of options", [{"level != :off", "Keyword.fetch!(level, :level)"}],
     ["T.LogHandler.primary/2"]}
  ]

  test "handlers, formatters and filters of logger, with their settings" do
    old = Versions.beams(@logging)
    :code.load_binary(T.LogHandler, ~c"nofile", old[T.LogHandler])

    :ok =
      :logger.add_handler(:handlers_test, T.LogHandler, %{
        level: :none,
        config: %{to: self()},
        formatter: {T.LogHandler, %{colors: true}},
        filters: [own: {Function.capture(T.LogHandler, :filter, 2), %{level: :debug}}]
      })

    :ok = :logger.add_primary_filter(:handlers_test, {Function.capture(T.LogHandler, :primary, 2), :info})

    for {what, edits, functions} <- @logging_changes do
      new = Enum.reduce(edits, @logging, fn {from, to}, text -> String.replace(text, from, to) end)
      pairs = Versions.pairs(old, Versions.beams(new))
      codes = fn version, module -> if module == T.LogHandler, do: Pair.code(hd(pairs), version) end
      found = Handlers.findings(pairs, codes)

      assert {what, for(f <- found, do: f.subject)} ==
               {what, for(f <- functions, do: "what #{f} is called with")}

      for f <- found, do: assert(f.detail =~ ~r/is kept by logger, for (:handlers_test|all handlers)/)
    end
  after
    :logger.remove_primary_filter(:handlers_test)
    :logger.remove_handler(:handlers_test)
    :code.purge(T.LogHandler)
    :code.delete(T.LogHandler)
  end

  @counting """
  defmodule T.Stats do
    def handle([:t, :stop], _measured, _about, :count), do: T.Counter.add(1)
    def handle(_event, _measured, _about, _settings), do: :ok
  end

  defmodule T.Sink do
    def attach, do: T.Bus.attach(:sink, [:t, :stop], &T.Stats.handle/4, :count)
  end
  """

  # {what, edits, why}
  @counting_changes [
    {"nothing that matters", [{"add(1)", "add(2)"}], []},
    {"other settings are attached, and compared",
     [{"_about, :count)", "_about, :sum)"}, {"/4, :count)", "/4, :sum)"}],
     ["the new code no longer calls T.Counter.add/1 with it, as it does with what it attaches now"]},
    {"another event is attached, and compared",
     [{"handle([:t, :stop]", "handle([:t, :done]"}, {":sink, [:t, :stop]", ":sink, [:t, :done]"}],
     ["the new code no longer calls T.Counter.add/1 with it, as it does with what it attaches now"]},
    {"other settings are taken apart",
     [
       {"_about, :count), do: T.Counter.add(1)", "_about, {:count, n}), do: T.Counter.add(n)"},
       {"/4, :count)", "/4, {:count, 1})"},
       {"  def handle(_event, _measured, _about, _settings), do: :ok\n", ""}
     ], ["is not what the new code takes: a tuple"]},
    {"other settings, and no clause for those of before",
     [
       {"_about, :count)", "_about, n) when n == 5"},
       {"/4, :count)", "/4, 5)"},
       {"  def handle(_event, _measured, _about, _settings), do: :ok\n", ""}
     ], ["is not what the new code takes: 5"]},
    {"it stays attached with the same, and does nothing any more", [{"T.Counter.add(1)", ":ok"}], []},
    {"it stays attached with the same, and does it with others only", [{"_about, :count)", "_about, :sum)"}],
     []},
    {"both settings are taken, and others attached",
     [{"_about, :count)", "_about, s) when s in [:count, :sum]"}, {"/4, :count)", "/4, :sum)"}], []},
    {"a further event beside the same",
     [
       {"T.Bus.attach(:sink, [:t, :stop],", "T.Bus.attach_many(:sink, [[:t, :stop], [:t, :done]],"},
       {"handle([:t, :stop]", "handle([:t, :done]"}
     ], []}
  ]

  test "handlers with the event and the settings that they were attached with" do
    old = Versions.beams(@counting)
    table = :ets.new(:handlers_test, [:public])
    :ets.insert(table, {:handler, :sink, [:t, :stop], Function.capture(T.Stats, :handle, 4), :count})

    for {what, edits, why} <- @counting_changes do
      pairs = Versions.pairs(old, @counting |> Versions.edited(edits) |> Versions.beams())
      by_module = Map.new(pairs, &{&1.module, &1})
      found = Handlers.findings(pairs, &Pair.code_of(by_module, &1, &2))

      assert {what, for(f <- found, do: f.detail)} ==
               {what, for(why <- why, do: "is kept in the table :handlers_test, and #{why}")}
    end
  end
end
