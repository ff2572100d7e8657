defmodule FlyDeployAgent.ConfigFile do
  @moduledoc """
  The configuration of a release as it was built: `sys.config`, and the files that its config providers read, `runtime.exs` among them.
  It travels as one file in the tarball of a deploy that applies configuration. It is not evaluated: what a machine's environment
  adds to it never leaves that machine.
  """

  @name "flydeploy.config"
  @root "RELEASE_ROOT"
  # What is larger is no configuration.
  @most 1_048_576

  @typedoc "`files` by their paths below the release's root, with a slash in front, as config providers name them."
  @type t :: %{vsn: binary, sys_config: binary, files: %{binary => binary}}

  @doc "Its name in the tarball of the release's version `vsn`."
  @spec path(binary) :: Path.t()
  def path(vsn), do: Path.join(["releases", vsn, @name])

  @doc "That of the release at `root` whose version is `vsn`."
  @spec read(Path.t(), binary) :: t
  def read(root, vsn) do
    text =
      case File.read(Path.join([root, "releases", vsn, "sys.config"])) do
        {:ok, text} -> text
        {:error, _} -> "[]."
      end

    files =
      for path <- named(providers(terms(text))),
          full = root <> path,
          match?({:ok, %{type: :regular, size: size}} when size <= @most, File.stat(full)),
          into: %{},
          do: {path, File.read!(full)}

    %{vsn: vsn, sys_config: text, files: files}
  end

  @doc "As a file."
  @spec encode(t) :: binary
  def encode(config), do: :erlang.term_to_binary(config, minor_version: 2)

  @doc "That of an extracted tarball, nil if it has none."
  @spec extracted(Path.t()) :: t | nil
  def extracted(dir) do
    with [file | _] <- dir |> Path.join(path("*")) |> Path.wildcard(),
         do: file |> File.read!() |> :erlang.binary_to_term(),
         else: (_ -> nil)
  end

  @doc "The settings of a `sys.config`, without what it says about config providers; other files that it names do not take part."
  @spec settings(binary) :: keyword(keyword)
  def settings(text) do
    for {app, settings} when is_list(settings) <- terms(text) do
      own = for {key, _} = setting <- settings, not (app == :elixir and provider_key?(key)), do: setting
      {app, own}
    end
  end

  defp provider_key?(key), do: String.starts_with?(Atom.to_string(key), "config_provider")

  @doc "What it says about config providers, a `Config.Provider`, or nil."
  @spec provider(binary) :: map | nil
  def provider(text), do: provider_in(terms(text))

  defp provider_in(terms) do
    with {:elixir, settings} when is_list(settings) <- List.keyfind(terms, :elixir, 0),
         {_, %{providers: providers} = provider} when is_list(providers) <-
           List.keyfind(settings, :config_provider_init, 0),
         do: provider,
         else: (_ -> nil)
  end

  defp providers(terms) do
    case provider_in(terms) do
      nil -> []
      %{providers: providers} -> providers
    end
  end

  # The paths below the release's root that stand anywhere in a provider's state.
  defp named({:system, @root, path}) when is_binary(path), do: [path]
  defp named(term) when is_tuple(term), do: term |> Tuple.to_list() |> named()
  defp named(term) when is_map(term), do: term |> Map.values() |> named()
  defp named([head | tail]), do: named(head) ++ named(tail)
  defp named(_term), do: []

  @doc "A provider's state that reads `{path, file}` of `files`, instead of what lies below the release's root."
  @spec leading_to(term, %{binary => Path.t()}) :: term
  def leading_to({:system, @root, path} = term, files), do: Map.get(files, path, term)

  def leading_to(term, files) when is_tuple(term),
    do: term |> Tuple.to_list() |> leading_to(files) |> List.to_tuple()

  def leading_to(term, files) when is_map(term),
    do: Map.new(term, fn {key, value} -> {key, leading_to(value, files)} end)

  def leading_to([head | tail], files), do: [leading_to(head, files) | leading_to(tail, files)]
  def leading_to(term, _files), do: term

  defp terms(text) do
    with {:ok, tokens, _} <- text |> String.to_charlist() |> :erl_scan.string(),
         {:ok, terms} when is_list(terms) <- :erl_parse.parse_term(tokens),
         do: terms,
         else: (_ -> raise(ArgumentError, "sys.config cannot be parsed"))
  end
end
