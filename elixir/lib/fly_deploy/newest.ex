defmodule FlyDeploy.Newest do
  @moduledoc false

  # When what this machine has run was signed, so that nothing older is loaded again: an old record is signed as well as a new one.
  # Known to the VM, and over restarts to a file, where the application names a folder that outlives them (`state_dir`, on a volume).

  alias FlyDeploy.Version

  require Logger

  @app :fly_deploy
  @key :newest
  @crockford ~c"0123456789ABCDEFGHJKMNPQRSTVWXYZ"

  @doc "Milliseconds since the Unix epoch; 0 if nothing is known."
  @spec known(atom) :: {:ok, non_neg_integer} | {:error, String.t()}
  def known(otp_app) do
    with {:ok, at_ms} <- without_trial(otp_app), do: {:ok, max(at_ms, ran())}
  end

  @doc "The same without what is on trial, of which nothing is noted: what ran before that is not older than this."
  @spec without_trial(atom) :: {:ok, non_neg_integer} | {:error, String.t()}
  def without_trial(otp_app) do
    with {:ok, kept} <- read(path(otp_app)), do: {:ok, max(kept, Application.get_env(@app, @key, 0))}
  end

  @doc "Remembers that something was signed then which may be loaded. What cannot be kept is only remembered by this VM."
  @spec note(atom, non_neg_integer) :: :ok
  def note(otp_app, at_ms) do
    Application.put_env(@app, @key, max(at_ms, Application.get_env(@app, @key, 0)))

    with path when is_binary(path) <- path(otp_app),
         {:ok, kept} when kept < at_ms <- read(path),
         {:error, text} <- write(path, at_ms),
         do: Logger.warning("FlyDeploy may load what is older than what runs: #{text}")

    :ok
  end

  @doc "A console has upgraded this VM, which does not come from the record: the ID of its deploy tells when that began."
  @spec deployed(atom, String.t() | nil) :: :ok
  def deployed(otp_app, id) do
    if is_binary(id) and Application.get_env(@app, :public_key) != nil, do: note(otp_app, ulid_ms(id))
    :ok
  end

  defp ran do
    case Version.running() do
      %{id: id} when is_binary(id) -> ulid_ms(id)
      _ -> 0
    end
  end

  @doc """
  The time in a ULID, 0 if it is none.

      iex> FlyDeploy.Newest.ulid_ms("01ARYZ6S410000000000000000")
      1_469_918_176_385
      iex> FlyDeploy.Newest.ulid_ms("by hand")
      0
  """
  @spec ulid_ms(String.t()) :: non_neg_integer
  def ulid_ms(id) do
    digits = for char <- id |> String.slice(0, 10) |> String.to_charlist(), do: digit(char)

    if String.length(id) == 26 and nil not in digits,
      do: Integer.undigits(digits, 32),
      else: 0
  end

  defp digit(char), do: Enum.find_index(@crockford, &(&1 == char))

  defp path(otp_app) do
    case Application.get_env(@app, :state_dir) do
      nil -> nil
      dir -> Path.join(dir, "fly_deploy-#{otp_app}.newest")
    end
  end

  defp read(nil), do: {:ok, 0}

  defp read(path) do
    with {:ok, text} <- File.read(path),
         {at_ms, ""} <- text |> String.trim() |> Integer.parse() do
      {:ok, at_ms}
    else
      {:error, :enoent} -> there(Path.dirname(path))
      {:error, reason} -> {:error, "#{path} cannot be read: #{:file.format_error(reason)}"}
      _ -> {:error, "#{path} is damaged"}
    end
  end

  # A volume that is not there has forgotten nothing.
  defp there(dir) do
    if File.dir?(dir), do: {:ok, 0}, else: {:error, "state_dir (#{dir}) is not a folder"}
  end

  defp write(path, at_ms) do
    new = "#{path}.#{System.pid()}"

    with :ok <- File.write(new, Integer.to_string(at_ms), [:sync]),
         :ok <- File.rename(new, path) do
      :ok
    else
      {:error, reason} -> {:error, "#{path} cannot be written: #{:file.format_error(reason)}"}
    end
  end
end
