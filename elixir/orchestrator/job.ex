defmodule FlyDeployOrchestrator.Job do
  @moduledoc """
  Runs detached on the temporary machine, where an exec may last a minute only. What the console polls lies in a folder:
  `progress` ("done total") while it works, `result` (JSON, renamed into place) once it has ended.

  The first job in a folder compiles what it was sent, the orchestrator with or without the agent, and keeps it for the others.
  """

  alias FlyDeployAgent.{Http, Json}
  alias FlyDeployOrchestrator.{Compiled, Tarball}

  # Progress is written so often at most.
  @progress_ms 200

  # What an upload sends, by the job.
  @files %{"upload" => "upgrade.tar.gz", "upload_agent" => "agent"}

  @doc """
  Does what the environment asks for. FLYDEPLOY_JOB is tarball (makes the release's tarball), agent (packs the compiled
  agent), upload or upload_agent.
  """
  @spec run() :: :ok
  def run do
    dir = System.fetch_env!("FLYDEPLOY_DIR")
    job = System.fetch_env!("FLYDEPLOY_JOB")
    result = safely(fn -> run(job, dir) end)
    path = Path.join(dir, "#{job}.result")
    File.write!(path <> ".new", Json.encode(result))
    File.rename!(path <> ".new", path)
  end

  defp run("tarball", dir) do
    root = System.fetch_env!("FLYDEPLOY_ROOT")
    app = String.to_atom(System.fetch_env!("FLYDEPLOY_OTP_APP"))

    config? = System.get_env("FLYDEPLOY_CONFIG") == "true"
    progress = &progress(dir, "tarball", &1, &2)

    case Tarball.make(root, app, Path.join(dir, "upgrade.tar.gz"), config?, progress) do
      {:ok, about} -> about
      {:error, text} -> %{error: text}
    end
  end

  defp run("agent", dir), do: %{agent: agent(dir)}

  defp run(job, dir) do
    form = "FLYDEPLOY_UPLOAD" |> System.fetch_env!() |> Base.decode64!() |> URI.decode_query()
    {url, headers} = Map.pop!(form, "url")
    {cacerts, headers} = Map.pop(headers, "cacerts")
    path = Path.join(dir, Map.fetch!(@files, job))
    size = File.stat!(path).size

    # The form's other fields are headers, each with a dash in front so that none clashes with ours.
    headers = for {"-" <> name, value} <- headers, do: {name, value}

    case Http.put(url, headers, path, [cacerts: cacerts], &progress(dir, job, &1, size)) do
      {:ok, status, body} -> %{status: status, body: body}
      {:error, text} -> %{error: text}
    end
  end

  # FlyDeployAgent has another name here: the console puts the source's hash behind it.
  defp agent(dir) do
    dir
    |> Path.join("modules")
    |> File.read!()
    |> :erlang.binary_to_term()
    |> Compiled.write(FlyDeployAgent, Path.join(dir, "agent"))
  end

  # An exception's own text may hold the URL.
  defp safely(fun) do
    fun.()
  rescue
    e in File.Error -> %{error: Exception.message(e)}
    e -> %{error: "#{inspect(e.__struct__)} in the temporary machine's job"}
  end

  defp progress(dir, job, done, total) do
    now = System.monotonic_time(:millisecond)

    if done == total or now - (Process.get(:told) || now - @progress_ms) >= @progress_ms do
      Process.put(:told, now)
      path = Path.join(dir, "#{job}.progress")
      File.write!(path <> ".new", "#{done} #{total}")
      File.rename!(path <> ".new", path)
    end
  end
end
