defmodule FlyDeployAgent.Manifest do
  @moduledoc """
  What lies in a release, as a text that travels in the tarball: each file with its size and sha256, and each setting of its
  configuration with a digest that is too short to tell the value from. A VM is compared with what the tarball leaves out by it.

  Lines are `file SHA256 SIZE PATH`, `native SHA256 SIZE PATH` and `setting DIGEST FILE KEY`, sorted.
  """

  alias FlyDeployAgent.Release

  @name "flydeploy.manifest"
  @secret ~w(releases/COOKIE)

  @type t :: %{files: %{binary => file}, settings: settings}
  @type file :: %{kind: :file | :native, sha256: binary, size: non_neg_integer}
  # Digests by the file of the configuration and the name in it.
  @type settings :: %{{binary, binary} => binary}

  @doc "Its name in the tarball: beside the application's code, so that it is put into place with it."
  @spec path(binary) :: binary
  def path(app_folder), do: Path.join(["lib", app_folder, "ebin", @name])

  @doc "Whether this is a manifest."
  @spec manifest?(Path.t()) :: boolean
  def manifest?(path), do: Path.basename(path) == @name

  @doc "The manifest of the release at `root` whose version is `vsn`."
  @spec text(Path.t(), binary) :: binary
  def text(root, vsn) do
    left_over = Release.left_over(root, vsn)

    files =
      for path <- root |> Path.join("**") |> Path.wildcard(match_dot: true),
          File.regular?(path),
          name = Path.relative_to(path, root),
          name not in @secret,
          not manifest?(name),
          not Release.below?(name, left_over),
          do:
            "#{if native?(path), do: "native", else: "file"} #{sha256(path)} #{File.stat!(path).size} #{name}\n"

    IO.iodata_to_binary([Enum.sort(files), [root, "releases", vsn] |> Path.join() |> settings() |> lines_of()])
  end

  @doc "The lines that settings are in a manifest."
  @spec lines_of(settings) :: [binary]
  def lines_of(settings),
    do: Enum.sort(for {{file, key}, digest} <- settings, do: "setting #{digest} #{file} #{key}\n")

  @doc "Reads a manifest; what it does not understand is left out."
  @spec parse(binary) :: t
  def parse(text) do
    lines = for line <- :binary.split(text, "\n", [:global]), do: String.split(line, " ", parts: 4)

    %{
      files:
        for([kind, sha256, size, path] when kind in ["file", "native"] <- lines, into: %{}) do
          {path, %{kind: String.to_atom(kind), sha256: sha256, size: String.to_integer(size)}}
        end,
      settings: for(["setting", digest, file, key] <- lines, into: %{}, do: {{file, key}, digest})
    }
  end

  @doc "Whether a file holds native code: programs and libraries of Linux."
  @spec native?(Path.t()) :: boolean
  def native?(path),
    do: File.open!(path, [:read, :raw, :binary], &:file.read(&1, 4)) == {:ok, <<0x7F, "ELF">>}

  @doc "The sha256 of a file, in lower case hex."
  @spec sha256(Path.t()) :: binary
  def sha256(path) do
    path
    |> File.open!([:read, :raw, :binary], &hash(&1, :crypto.hash_init(:sha256)))
    |> Base.encode16(case: :lower)
  end

  defp hash(file, state) do
    case :file.read(file, 65_536) do
      {:ok, data} -> hash(file, :crypto.hash_update(state, data))
      :eof -> :crypto.hash_final(state)
    end
  end

  # The files with settings.
  @settings ~w(sys.config runtime.exs vm.args env.sh)

  @doc "The settings in a release's folder of its version: names with digests of their values."
  @spec settings(Path.t()) :: settings
  def settings(folder) do
    settings_of(
      for file <- @settings, {:ok, text} <- [File.read(Path.join(folder, file))], into: %{}, do: {file, text}
    )
  end

  @doc "The same of the files' texts, by their names."
  @spec settings_of(%{binary => binary}) :: settings
  def settings_of(texts) do
    for {file, text} <- texts,
        file in @settings,
        {key, values} <- file |> read(text) |> Enum.group_by(&elem(&1, 0), &elem(&1, 1)),
        into: %{},
        do: {{file, key}, digest(values)}
  end

  defp read("sys.config", text), do: sys_config(text)
  defp read("runtime.exs", text), do: runtime(text)
  defp read("vm.args", text), do: flags(text)
  defp read("env.sh", text), do: script(text)

  # Four bytes: enough to see a change, and nearly every value has them in common with others.
  defp digest(term) do
    <<digest::binary-size(4), _::binary>> =
      :crypto.hash(:sha256, :erlang.term_to_binary(term, [:deterministic]))

    Base.encode16(digest, case: :lower)
  end

  defp sys_config(text) do
    with {:ok, tokens, _} <- text |> String.to_charlist() |> :erl_scan.string(),
         {:ok, [config | _]} <- terms(tokens) do
      # Where the providers' files lie names the release's version.
      for {app, settings} when is_list(settings) <- config,
          {key, value} <- settings,
          not (app == :elixir and String.starts_with?("#{key}", "config_provider")),
          do: {"#{inspect(app)}, #{inspect(key)}", value}
    else
      _ -> [{"all", text}]
    end
  end

  defp terms(tokens) do
    with {:ok, term} <- :erl_parse.parse_term(tokens), do: {:ok, [term]}
  end

  # By its syntax: comments and lines say nothing.
  defp runtime(text) do
    case Code.string_to_quoted(text) do
      {:ok, quoted} ->
        {rest, found} = quoted |> Macro.prewalk(&plain/1) |> Macro.prewalk([], &config/2)
        [{"other code", rest} | found]

      {:error, _} ->
        [{"all", text}]
    end
  end

  defp plain({form, _meta, args}), do: {form, [], args}
  defp plain(other), do: other

  defp config({:config, _, [app, settings]}, found) when is_list(settings),
    do:
      {:config,
       for({key, value} <- settings, do: {"#{Macro.to_string(app)}, #{inspect(key)}", value}) ++ found}

  defp config({:config, _, [app, key, value]}, found),
    do: {:config, [{"#{Macro.to_string(app)}, #{Macro.to_string(key)}", value} | found]}

  defp config(other, found), do: {other, found}

  defp flags(text) do
    for line <- lines(text), [flag | values] = String.split(line), do: {flag, values}
  end

  defp script(text) do
    for line <- lines(text) do
      case Regex.run(~r/^(?:export +)?(\w+)=/, line) do
        [_, name] -> {name, line}
        nil -> {"its commands", line}
      end
    end
  end

  defp lines(text) do
    for line <- String.split(text, "\n"),
        line = String.trim(line),
        line != "",
        not String.starts_with?(line, "#"),
        do: line
  end
end
