defmodule FlyDeployOrchestrator.AgentJob do
  @moduledoc """
  Downloads the agent's source, compiles it, and packs what machines load (`FlyDeployOrchestrator.Compiled`). The source is one text, compressed
  with zlib: each file after a form feed and its name. Nothing of it is read before its sha256 is the one that the console has told by exec.
  """

  alias FlyDeployAgent.Http
  alias FlyDeployOrchestrator.{Compiled, Job}

  @spec run() :: :ok
  def run do
    Job.run(fn dir ->
      form = Job.form()

      with {:ok, source} <- download(form) do
        agent = Module.concat([form["agent"]])
        %{agent: source |> compile() |> Compiled.write(agent, Path.join(dir, "agent"))}
      end
    end)
  end

  defp download(form) do
    size = String.to_integer(form["size"])
    # Tigris' buckets are global and eventually consistent: this asks for the object's latest version.
    options = [cacerts: form["cacerts"], headers: [{"x-tigris-consistent", "true"}]]

    collect = fn data, got ->
      if byte_size(got) + byte_size(data) > size,
        do: {:halt, "the object has more than #{size} bytes"},
        else: {:cont, got <> data}
    end

    case Http.fetch_with_headers(form["url"], options, "", collect) do
      {:ok, source, _headers} -> check(source, form["sha256"])
      {:status, status, body} -> %{status: status, body: body}
      {:error, text} -> %{name: "download_failed", error: text}
    end
  end

  defp check(source, sha256) do
    case Base.encode16(:crypto.hash(:sha256, source), case: :lower) do
      ^sha256 ->
        {:ok, source}

      _other ->
        %{name: "sha256_differs", error: "the sha256 of what the storage gave is not the expected one"}
    end
  end

  # The compiler's checks were made where the agent is developed. Those of them that look for modules look through the whole code path,
  # which is long in a large release; what it brings of other applications, the agent's source does not need.
  @options [
    debug_info: false,
    docs: false,
    ignore_module_conflict: true,
    no_warn_undefined: :all,
    infer_signatures: false,
    module_definition: :interpreted
  ]

  defp compile(source) do
    known = Code.available_compiler_options()
    Code.compiler_options(for {name, _} = option <- @options, name in known, do: option)

    :code.set_path(
      for app <- [:kernel, :stdlib, :compiler, :elixir], do: :filename.join(:code.lib_dir(app), ~c"ebin")
    )

    [_ | files] = source |> :zlib.uncompress() |> String.split("\f")

    for file <- files,
        [name, text] = String.split(file, "\n", parts: 2),
        module <- Code.compile_string(text, name),
        do: module
  end
end
