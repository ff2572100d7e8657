defmodule FlyDeployAgent.Release do
  @moduledoc """
  The release that runs: where its files lie, and which boot of the VM this is.
  """

  @otp ~w(kernel stdlib sasl compiler crypto ssl public_key asn1 runtime_tools tools os_mon mnesia inets
    syntax_tools xmerl parsetools debugger observer wx et eldap ftp tftp ssh snmp edoc eunit common_test
    dialyzer diameter megaco odbc jinterface erl_interface reltool erts)a
  @elixir ~w(elixir logger eex iex mix ex_unit)a

  @doc "The release's root folder, nil outside of a release."
  @spec root() :: binary | nil
  def root, do: System.get_env("RELEASE_ROOT")

  @doc "The folder of the consolidated protocols of the release that runs."
  @spec consolidated() :: binary
  def consolidated,
    do: Path.join([root(), "releases", System.get_env("RELEASE_VSN", ""), "consolidated"])

  @doc "The folder of an application that is part of the running release, nil if it is not."
  @spec app_dir(atom) :: binary | nil
  def app_dir(app) do
    case :code.lib_dir(app) do
      {:error, :bad_name} -> nil
      dir -> List.to_string(dir)
    end
  end

  @doc """
  What an application's `.app` file says of it, `[]` where it cannot be read. `:file.consult/1` takes five times as long: it asks another
  process for each line.
  """
  @spec app_keys(Path.t()) :: keyword
  def app_keys(file) do
    with {:ok, text} <- File.read(file),
         {:ok, tokens, _} <- text |> characters() |> :erl_scan.string(),
         {:ok, {:application, _, keys}} <- :erl_parse.parse_term(tokens) do
      keys
    else
      _ -> []
    end
  end

  # A file in Latin-1 says so in its first line.
  defp characters(text),
    do: if(String.valid?(text), do: String.to_charlist(text), else: :binary.bin_to_list(text))

  @doc "Splits a folder's name into application and version: `my_app-1.2.3`."
  @spec split(binary) :: {atom, binary}
  def split(dir) do
    case dir |> String.split("/") |> List.last() |> String.split("-", parts: 2) do
      [app, vsn] -> {String.to_atom(app), vsn}
      [app] -> {String.to_atom(app), ""}
    end
  end

  @doc "What an application belongs to: OTP, Elixir, or the release's own libraries."
  @spec origin(atom) :: :otp | :elixir | :library
  def origin(app) when app in @otp, do: :otp
  def origin(app) when app in @elixir, do: :elixir
  def origin(_app), do: :library

  @doc """
  Whether a module is the application's own, as far as the VM tells: in no application's list, as one that an upgrade has added, or in
  that of one which is no package, such as one of an umbrella: a package must have a description, where mix takes the name without one.
  """
  @spec own?(module) :: boolean
  def own?(module) do
    case :application.get_application(module) do
      {:ok, app} ->
        origin(app) == :library and :application.get_key(app, :description) == {:ok, Atom.to_charlist(app)}

      :undefined ->
        String.starts_with?(Atom.to_string(module), "Elixir.")
    end
  end

  @doc """
  Whether a file of a release takes part in an upgrade. Those of OTP and Elixir do not: only their versions are compared, for which their
  `.app` files stand.
  """
  @spec takes_part?(binary) :: boolean
  def takes_part?(name) do
    case String.split(name, "/", parts: 3) do
      ["lib", folder | _] -> String.ends_with?(name, ".app") or folder_origin(folder) == :library
      _ -> true
    end
  end

  @doc """
  The folders below lib, by their names, of libraries that the release of version `vsn` at `root` does not have: `mix release` leaves those
  of an earlier version where they were. None where the release does not list its applications.
  """
  @spec left_over(Path.t(), binary) :: [binary]
  def left_over(root, vsn) do
    listed =
      for rel <- Path.wildcard(Path.join([root, "releases", vsn, "*.rel"])),
          {:ok, [{:release, _, _, apps}]} <- [:file.consult(rel)],
          app <- apps,
          do: "#{elem(app, 0)}-#{elem(app, 1)}"

    libraries =
      for file <- Path.wildcard(Path.join(root, "lib/*/ebin/*.app")),
          do: file |> Path.dirname() |> Path.dirname() |> Path.basename()

    if listed == [], do: [], else: Enum.uniq(libraries) -- listed
  end

  @doc "Whether a file of a release, by its name below the root, is in one of these folders below lib."
  @spec below?(binary, [binary]) :: boolean
  def below?(name, folders) do
    case Path.split(name) do
      ["lib", folder | _] -> folder in folders
      _ -> false
    end
  end

  @doc "Whether a module's file belongs to the release's own libraries."
  @spec library?(Path.t()) :: boolean
  def library?(file), do: origin_of(file) == :library

  @doc "What a module's file belongs to."
  @spec origin_of(Path.t()) :: :otp | :elixir | :library
  def origin_of(file), do: file |> Path.dirname() |> Path.dirname() |> folder_origin()

  defp folder_origin(folder), do: folder |> split() |> elem(0) |> origin()

  @doc "Identifies this boot of the VM: OS pid and its start time (clock ticks since the host's boot)."
  @spec boot() :: binary
  def boot do
    pid = System.pid()

    with {:ok, stat} <- File.read("/proc/#{pid}/stat"),
         # The second field is the program's name in parentheses and may contain anything.
         fields = stat |> String.split(")") |> List.last() |> String.split(),
         start when is_binary(start) <- Enum.at(fields, 19) do
      "#{pid}-#{start}"
    else
      _ -> "#{pid}-#{:erlang.system_info(:start_time)}"
    end
  end
end
