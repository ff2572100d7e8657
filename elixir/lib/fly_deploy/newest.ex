defmodule FlyDeploy.Newest do
  @moduledoc false

  # When what this machine has run was signed, so that nothing older is loaded again: an old record is signed as well as a new one.
  # Known to the VM, and over restarts to a file, where the application names a folder that outlives them (`state_dir`, on a volume).
  #
  # A way back leads to what is older. The console signs it anew when it records that; where it could not, the record still has the old entry, of
  # the very code that runs. That is known by its tarball, until anything newer has run.

  alias FlyDeploy.Version

  require Logger

  @app :fly_deploy
  @key :newest
  @back :taken_back_to
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
         {:error, text} <- write(path, Integer.to_string(at_ms)),
         do: Logger.warning("FlyDeploy may load what is older than what runs: #{text}")

    :ok
  end

  @doc """
  A console has upgraded this VM, which does not come from the record: the ID of its deploy tells when that began. `back_to` is the sha256 of
  the tarball that it was taken back to, nil if it was not taken back.
  """
  @spec deployed(atom, String.t() | nil, String.t() | nil) :: :ok
  def deployed(otp_app, id, back_to \\ nil) do
    if is_binary(id) and Application.get_env(@app, :public_key) != nil do
      note(otp_app, ulid_ms(id))
      with {:ok, newest} <- without_trial(otp_app), do: taken_back(otp_app, back_to && "#{newest} #{back_to}")
    end

    :ok
  end

  # With when the newest was signed then: once anything newer has run, it does not count any more.
  defp taken_back(otp_app, nil) do
    Application.delete_env(@app, @back)
    with path when is_binary(path) <- path(otp_app, "back"), do: File.rm(path)
  end

  defp taken_back(otp_app, text) do
    Application.put_env(@app, @back, text)

    with path when is_binary(path) <- path(otp_app, "back"),
         {:error, why} <- write(path, text),
         do: Logger.warning("FlyDeploy may refuse what this machine was taken back to: #{why}")
  end

  @doc "The sha256 of the tarball that a console has taken this machine back to; nil without one, and once anything newer than that has run."
  @spec taken_back_to(atom, newest :: non_neg_integer) :: String.t() | nil
  def taken_back_to(otp_app, newest) do
    kept =
      with nil <- Application.get_env(@app, @back),
           path when is_binary(path) <- path(otp_app, "back"),
           {:ok, text} <- File.read(path),
           do: text

    with text when is_binary(text) <- kept,
         [then, sha256] <- String.split(text, " "),
         true <- then == Integer.to_string(newest) do
      sha256
    else
      _ -> nil
    end
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

  defp path(otp_app, what \\ "newest") do
    case Application.get_env(@app, :state_dir) do
      nil -> nil
      dir -> Path.join(dir, "fly_deploy-#{otp_app}.#{what}")
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

  defp write(path, text) do
    new = "#{path}.#{System.pid()}"

    with :ok <- File.write(new, text, [:sync]),
         :ok <- File.rename(new, path) do
      :ok
    else
      {:error, reason} -> {:error, "#{path} cannot be written: #{:file.format_error(reason)}"}
    end
  end
end
