defmodule Counter.HTTP.Router do
  @moduledoc "Answers requests: `{status, content type, body}`."

  alias Counter.HTTP.Views

  require Logger

  @doc "Routes one request; a process that does not answer in time makes a 500, never a broken connection."
  def route(method, target) do
    uri = URI.parse(target)
    path = String.split(uri.path || "/", "/", trim: true)
    Counter.Hits.add(endpoint(path))
    answer(method, path, URI.decode_query(uri.query || ""))
  catch
    kind, reason ->
      Logger.error("#{method} #{target}: " <> Exception.format(kind, reason, __STACKTRACE__))
      json(500, %{error: "#{kind}: #{inspect(reason)}"})
  end

  defp answer("GET", ["health"], _query), do: json(200, %{status: "ok"})
  defp answer("GET", ["versions"], _query), do: json(200, Views.versions())
  defp answer("GET", ["counters"], query), do: json(200, Views.counters(query["full"] == "1"))
  defp answer("GET", ["sweep"], query), do: sweep(query["over_ms"] || "0")
  defp answer("GET", ["task"], _query), do: json(200, Views.task())
  defp answer("POST", ["task", "restart"], _query), do: json(200, Views.restart_task())
  defp answer("GET", ["statem"], _query), do: json(200, Views.statem())
  defp answer("POST", ["statem", "turn"], _query), do: json(200, %{state: Counter.Gate.turn()})
  defp answer("GET", ["agent"], _query), do: json(200, Views.agent())
  defp answer("GET", ["events"], _query), do: json(200, Views.events())
  defp answer("GET", ["ets"], _query), do: json(200, Views.ets())
  defp answer("GET", ["protocol"], _query), do: json(200, Views.protocol())
  defp answer("POST", ["counters", number, "increment"], _query), do: increment(Integer.parse(number))
  defp answer("GET", [], _query), do: static("index.html")
  defp answer("GET", ["static", file], _query), do: static(file)
  defp answer("GET", _path, _query), do: json(404, %{error: "no such page"})
  defp answer("POST", _path, _query), do: json(404, %{error: "no such action"})
  defp answer(_method, _path, _query), do: json(405, %{error: "GET or POST only"})

  defp increment({number, ""}) do
    case Counter.fetch(number) do
      {:ok, pid} -> json(200, %{number: number, count: Counter.Server.increment(pid)})
      :error -> json(404, %{error: "no counter #{number}"})
    end
  end

  defp increment(_not_a_number), do: json(404, %{error: "counters have numbers"})

  defp sweep(over_ms) do
    case Integer.parse(over_ms) do
      {over_ms, ""} when over_ms in 0..60_000 -> json(200, Views.sweep(over_ms))
      _ -> json(400, %{error: "over_ms is a number of milliseconds up to 60000"})
    end
  end

  defp static(file) do
    # One path segment: it cannot climb out of the folder, except as "..", which is no regular file.
    path = Application.app_dir(:counter, Path.join("priv/static", file))

    if File.regular?(path),
      do: {200, content_type(Path.extname(path)), File.read!(path)},
      else: json(404, %{error: "no such file"})
  end

  defp content_type(".html"), do: "text/html; charset=utf-8"
  defp content_type(".css"), do: "text/css"
  defp content_type(_other), do: "text/plain; charset=utf-8"

  defp json(status, body), do: {status, "application/json", [Counter.JSON.encode(body), ?\n]}

  defp endpoint([first | _rest]) when first in ~w(health versions counters sweep task statem agent events ets protocol),
    do: first

  defp endpoint(_path), do: "other"
end
