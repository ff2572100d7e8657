defmodule FlyDeployAgent.Report do
  @moduledoc """
  The full report of a window in which something failed: every process with its exception, stack and the shape of its
  state, where the status has only the first of each module and reason. It goes into the bucket as gzipped JSON, by a
  presigned PUT that the order brought, after everything runs again.
  """

  alias FlyDeployAgent.{Findings, Http, Json, Release}

  # At most this many processes, at about a kilobyte each before compression.
  @failures 10_000
  # Then nobody waits any more.
  @upload_ms 15_000

  @doc "Is there anything to tell, and somewhere to tell it?"
  @spec due?(FlyDeployAgent.Order.t(), FlyDeployAgent.Result.t()) :: boolean
  def due?(order, result), do: order.report_url != nil and (result.failures != [] or result.killed != [])

  @doc "Uploads the report of the agent's state `s`. Gives `stored`, or why it is not."
  @spec upload(FlyDeployAgent.State.t()) :: binary
  def upload(s) do
    {:ok, _timer} = :timer.kill_after(@upload_ms)
    path = Path.join(s.dir, "report.json.gz")

    with :ok <- File.write(path, s |> fields() |> Json.encode() |> :zlib.gzip()),
         {:ok, status, _} <-
           Http.put(s.order.report_url, [], path, [cacerts: s.order.cacerts], fn _ -> :ok end) do
      if status in 200..299, do: "stored", else: "the storage answered #{status}"
    else
      {:error, reason} when is_atom(reason) -> "it cannot be written: #{:file.format_error(reason)}"
      {:error, text} -> text
    end
  end

  defp fields(%{result: result} = s) do
    %{
      v: 1,
      id: s.order.id,
      boot: Release.boot(),
      outcome: result.outcome,
      suspended: length(result.targets),
      killed: Enum.map(result.killed, &inspect/1),
      failures: result.failures |> Enum.take(@failures) |> Enum.map(&failure/1),
      failures_total: length(result.failures)
    }
  end

  @doc "A failure of the window, as JSON can have it."
  @spec failure(FlyDeployAgent.Failure.t()) :: map
  def failure(f) do
    %{
      pid: if(f[:pid], do: inspect(f.pid), else: ""),
      name: f[:name] || if(f[:pid], do: Findings.name(f.pid), else: ""),
      module: if(f[:module], do: inspect(f.module), else: ""),
      reason: f.reason,
      exception: f.exception,
      stack: f[:stack] || [],
      state_before: f[:state_before],
      state_after: f[:state_after]
    }
  end
end
