defmodule FlyDeployOrchestrator.UploadJob do
  @moduledoc "Uploads a file that another job has made."

  alias FlyDeployAgent.Http
  alias FlyDeployOrchestrator.Job

  @spec run() :: :ok
  def run do
    Job.run(fn dir ->
      form = Job.form()
      path = Path.join(dir, form["file"])
      size = File.stat!(path).size

      # The fields that are headers have a dash in front so that none clashes with ours.
      headers = for {"-" <> name, value} <- form, do: {name, value}

      case Http.put(form["url"], headers, path, [cacerts: form["cacerts"]], &Job.progress(dir, &1, size)) do
        {:ok, status, body} -> %{status: status, body: body}
        {:error, text} -> %{error: text}
      end
    end)
  end
end
