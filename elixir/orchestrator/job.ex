defmodule FlyDeployOrchestrator.Job do
  @moduledoc """
  What the jobs on the temporary machine have in common. They run detached, since an exec may last a minute only. What the console polls lies
  in a folder: `JOB.progress` ("done total") while one works, `JOB.result` (JSON, renamed into place) once it has ended.
  """

  alias FlyDeployAgent.Json

  # Progress is written so often at most.
  @progress_ms 200

  @doc "Runs `work` with the job's folder, and writes what it gives as the job's result."
  @spec run((Path.t() -> map)) :: :ok
  def run(work) do
    dir = System.fetch_env!("FLYDEPLOY_DIR")
    put(dir, "result", Json.encode(safely(fn -> work.(dir) end)))
  end

  @doc "What the console has sent by standard input, which nobody sees in the list of processes."
  @spec form() :: %{binary => binary}
  def form, do: "FLYDEPLOY_FORM" |> System.fetch_env!() |> Base.decode64!() |> URI.decode_query()

  @doc "Tells how far the job is, now and then."
  @spec progress(Path.t(), non_neg_integer, non_neg_integer) :: any
  def progress(dir, done, total) do
    now = System.monotonic_time(:millisecond)

    if done == total or now - (Process.get(:told) || now - @progress_ms) >= @progress_ms do
      Process.put(:told, now)
      put(dir, "progress", "#{done} #{total}")
    end
  end

  # An exception's own text may hold the URL.
  defp safely(fun) do
    fun.()
  rescue
    e in File.Error -> %{error: Exception.message(e)}
    e -> %{error: "#{inspect(e.__struct__)} in the temporary machine's job"}
  end

  defp put(dir, kind, text) do
    path = Path.join(dir, System.fetch_env!("FLYDEPLOY_JOB") <> "." <> kind)
    File.write!(path <> ".new", text)
    File.rename!(path <> ".new", path)
  end
end
