defmodule FlyDeploy.Version do
  @moduledoc false

  alias FlyDeploy.Lag
  alias FlyDeployAgent.Beam

  # In the application's environment: replacing a persistent term would make every process look through its heap.
  @app :fly_deploy
  @key :running

  @typedoc "The application that is upgraded, and the upgrade that it runs: nil without one, or if it is not known."
  @type running :: %{
          otp_app: atom,
          hot_ref: String.t() | nil,
          version: String.t() | nil,
          id: String.t() | nil
        }

  @doc "Remembers which application this is about."
  @spec start(atom) :: :ok
  def start(otp_app) do
    if running()[:otp_app] != otp_app,
      do: put(%{otp_app: otp_app, hot_ref: nil, version: nil, id: nil}),
      else: :ok
  end

  @image_code :image_code

  @doc """
  The fingerprint of the image's own code (`FlyDeploy.Lag.fingerprint/0`), worked out once, before anything is upgraded: a tag can be
  moved to another image, and this tells them apart. "" where it is not known: in interactive mode, where a module may not be loaded
  yet, and where an earlier upgrade has replaced the image's files.
  """
  @spec image_code() :: String.t()
  def image_code do
    with nil <- Application.get_env(@app, @image_code) do
      code = if own_code?(), do: Lag.fingerprint(), else: ""
      Application.put_env(@app, @image_code, code)
      code
    end
  end

  defp own_code?,
    do: :code.get_mode() == :embedded and running()[:version] == nil and not placed?(running()[:otp_app])

  # The manifest (FlyDeployAgent.Manifest) comes with an upgrade, and is put into place with it: no image has one.
  defp placed?(nil), do: true
  defp placed?(otp_app), do: [ebin(otp_app) || "", "flydeploy.manifest"] |> Path.join() |> File.exists?()

  @doc "Remembers the upgrade that the machine runs from now on; `id` is nil if it is not known."
  @spec upgraded(String.t() | nil, String.t(), String.t() | nil) :: :ok
  def upgraded(hot_ref, version, id),
    do: put(Map.merge(running(), %{hot_ref: hot_ref, version: version, id: id}))

  @spec current() :: FlyDeploy.vsn() | nil
  def current do
    with %{otp_app: otp_app} = running <- running() do
      %{
        base_image_ref: System.get_env("FLY_IMAGE_REF"),
        hot_ref: running.hot_ref,
        version: running.version,
        fingerprint: otp_app |> modules() |> fingerprint()
      }
    end
  end

  @doc """
  Twelve hexadecimal digits over modules and their md5s, in any order.

      iex> FlyDeploy.Version.fingerprint([{Foo, <<1>>}, {Bar, <<2>>}])
      "8aab00d9a7f6"
      iex> FlyDeploy.Version.fingerprint([{Bar, <<2>>}, {Foo, <<1>>}])
      "8aab00d9a7f6"
      iex> FlyDeploy.Version.fingerprint([{Bar, <<2>>}, {Foo, <<2>>}])
      "ed092a12c6bf"
  """
  @spec fingerprint([{module, binary}]) :: String.t()
  def fingerprint(modules) do
    lines = modules |> Enum.sort() |> Enum.map(fn {module, md5} -> [Atom.to_string(module), 0, md5] end)
    :sha256 |> :crypto.hash(lines) |> Base.encode16(case: :lower) |> binary_part(0, 12)
  end

  # An upgrade may have added modules that the application's specification does not know: a module belongs to it if
  # it was loaded from its folder, or is listed (a consolidated protocol lies elsewhere).
  defp modules(otp_app) do
    listed = MapSet.new(Application.spec(otp_app, :modules) || [])
    folder = ebin(otp_app)

    for {module, file} <- :code.all_loaded(),
        module in listed or within?(file, folder),
        do: {module, Beam.loaded_md5(module)}
  end

  defp ebin(otp_app) do
    case :code.lib_dir(otp_app) do
      {:error, :bad_name} -> nil
      dir -> Path.join(List.to_string(dir), "ebin")
    end
  end

  defp within?([_ | _] = file, folder) when is_binary(folder),
    do: Path.dirname(List.to_string(file)) == folder

  defp within?(_preloaded, _folder), do: false

  @doc "What is remembered, nil as long as nothing is."
  @spec running() :: running | nil
  def running, do: Application.get_env(@app, @key)

  defp put(running), do: Application.put_env(@app, @key, running)
end
