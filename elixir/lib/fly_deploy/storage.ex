defmodule FlyDeploy.Storage do
  @moduledoc false

  # Reads objects of the bucket. Errors name the host, never a header.

  alias FlyDeploy.{HttpDate, Settings, Signer}
  alias FlyDeployAgent.Http

  # Storage that stumbles is asked again, after so many milliseconds each.
  @pauses [200, 800]
  @transient [408, 429, 500, 502, 503, 504]
  # current.json is about a kilobyte; every machine with an upgrade of its own adds half of one.
  @max_document 4 * 1024 * 1024
  # The sha256 of no bytes: a GET has no body.
  @no_body "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  @typedoc "An object with its version, and how long ago it was written by the storage's own clock, if it says so."
  @type document :: %{body: binary, etag: String.t() | nil, age_s: non_neg_integer | nil}

  @doc "Reads a small object whole."
  @spec read(Settings.t(), String.t()) :: {:ok, binary} | :not_found | {:error, String.t()}
  def read(settings, key) do
    with {:ok, document} <- document(settings, key), do: {:ok, document.body}
  end

  @doc "Reads a small object whole, unless its version is still `etag`."
  @spec document(Settings.t(), String.t(), String.t() | nil) ::
          {:ok, document} | :unchanged | :not_found | {:error, String.t()}
  def document(settings, key, etag \\ nil) do
    conditions = if etag, do: [{"if-none-match", etag}], else: []

    get(settings, key, conditions, [], fn data, read ->
      if IO.iodata_length(read) > @max_document,
        do: {:halt, "#{key} is larger than #{@max_document} bytes"},
        else: {:cont, [read, data]}
    end)
    |> case do
      {:ok, read, headers} ->
        {:ok, %{body: IO.iodata_to_binary(read), etag: headers["etag"], age_s: HttpDate.age_s(headers)}}

      other ->
        other
    end
  end

  @doc "Reads an object of exactly `size` bytes with this sha256 (hexadecimal), called `what` in errors."
  @spec fetch(Settings.t(), String.t(), String.t(), pos_integer, String.t()) ::
          {:ok, binary} | {:error, String.t()}
  def fetch(settings, key, what, size, sha256) do
    get(settings, key, [], [], fn data, read ->
      if IO.iodata_length(read) + byte_size(data) > size,
        do: {:halt, "#{what} is larger than the #{size} bytes that are recorded"},
        else: {:cont, [read, data]}
    end)
    |> case do
      {:ok, read, _headers} -> checked(IO.iodata_to_binary(read), what, size, sha256)
      :not_found -> {:error, "#{what} is not in the bucket"}
      {:error, text} -> {:error, text}
    end
  end

  defp checked(bytes, what, size, sha256) do
    cond do
      byte_size(bytes) != size -> {:error, "#{what} has #{byte_size(bytes)} bytes instead of #{size}"}
      hex(:crypto.hash(:sha256, bytes)) != sha256 -> {:error, "#{what}'s sha256 is not the recorded one"}
      true -> {:ok, bytes}
    end
  end

  @doc "Writes an object of exactly `size` bytes with this sha256 (hexadecimal) to a new file at `path`."
  @spec download(Settings.t(), String.t(), Path.t(), pos_integer, String.t()) :: :ok | {:error, String.t()}
  def download(settings, key, path, size, sha256) do
    case :file.open(path, [:write, :raw, :binary, :exclusive]) do
      {:ok, file} ->
        try do
          fill(file, settings, key, size, sha256)
        after
          :file.close(file)
        end

      {:error, reason} ->
        {:error, unwritable(reason)}
    end
  end

  defp fill(file, settings, key, size, sha256) do
    case get(settings, key, [], {0, :crypto.hash_init(:sha256)}, &write(file, size, &1, &2)) do
      {:ok, {^size, hash}, _headers} -> compare(hash, sha256)
      {:ok, {got, _}, _headers} -> {:error, "the tarball has #{got} bytes instead of #{size}"}
      :not_found -> {:error, "the tarball is not in the bucket"}
      {:error, text} -> {:error, text}
    end
  end

  # Written at its place, so that a second attempt overwrites what the first one left.
  defp write(file, size, data, {written, hash}) do
    total = written + byte_size(data)

    if total > size do
      {:halt, "the tarball is larger than the #{size} bytes that are recorded"}
    else
      case :file.pwrite(file, written, data) do
        :ok -> {:cont, {total, :crypto.hash_update(hash, data)}}
        {:error, reason} -> {:halt, unwritable(reason)}
      end
    end
  end

  defp unwritable(reason), do: "the tarball cannot be written: #{:file.format_error(reason)}"

  defp compare(hash, sha256) do
    if hash |> :crypto.hash_final() |> hex() == sha256,
      do: :ok,
      else: {:error, "the tarball's sha256 is not the recorded one"}
  end

  defp hex(binary), do: Base.encode16(binary, case: :lower)

  @doc """
  The key of an object by its bare, path-style URL. It must lie below releases/ in the bucket that is configured.

      iex> FlyDeploy.Storage.key("https://fly.storage.tigris.dev/mine/releases/my_app-1.2%2B3.tar.gz", "mine")
      {:ok, "releases/my_app-1.2+3.tar.gz"}
      iex> FlyDeploy.Storage.key("https://fly.storage.tigris.dev/yours/releases/my_app-1.2.3.tar.gz", "mine")
      {:error, "tarball_url is no object of the bucket mine"}
  """
  @spec key(String.t(), String.t()) :: {:ok, String.t()} | {:error, String.t()}
  def key(url, bucket) do
    with %URI{path: <<_, _::binary>> = path} <- URI.parse(url),
         [_, "releases/" <> _ = key] <- path |> URI.decode() |> String.split("/#{bucket}/", parts: 2) do
      {:ok, key}
    else
      _ -> {:error, "tarball_url is no object of the bucket #{bucket}"}
    end
  end

  defp get(settings, key, conditions, start, fun, pauses \\ @pauses) do
    url = url(settings, key)

    case {Http.fetch_with_headers(url, [headers: conditions ++ headers(url, settings)], start, fun), pauses} do
      {{:ok, _result, _headers} = answer, _} -> answer
      {{:status, 304}, _} -> :unchanged
      {{:status, 404}, _} -> :not_found
      {{:status, status}, []} -> {:error, refused(url, status)}
      {{:status, status}, _} when status not in @transient -> {:error, refused(url, status)}
      {{:error, text}, []} -> {:error, text}
      {_, [pause | pauses]} -> Process.sleep(pause) && get(settings, key, conditions, start, fun, pauses)
    end
  end

  defp url(settings, key), do: Enum.join([settings.endpoint, settings.bucket, Signer.encode(key)], "/")

  @doc "A URL from which anybody can GET the object for so many seconds. It is a secret."
  @spec presign(Settings.t(), String.t(), pos_integer) :: String.t()
  def presign(settings, key, valid_s) do
    url = url(settings, key)
    uri = URI.parse(url)
    credentials = Map.put(settings, :service, "s3")
    url <> "?" <> Signer.query("GET", uri.path, Http.authority(uri), valid_s, credentials, DateTime.utc_now())
  end

  defp refused(url, 403), do: refused(url, "403: the keys may not read it, or this machine's clock is wrong")
  defp refused(url, answer), do: "#{URI.parse(url).host} answered #{answer}"

  defp headers(url, settings) do
    time = DateTime.utc_now()

    headers = [
      {"x-amz-content-sha256", @no_body},
      {"x-amz-date", Signer.date(time)},
      # Tigris' buckets are global and eventually consistent: this asks for the object's latest version.
      {"x-tigris-consistent", "true"}
    ]

    credentials = Map.put(settings, :service, "s3")
    signed = [{"host", Http.authority(URI.parse(url))} | headers]
    authorization = Signer.authorization("GET", URI.parse(url).path, signed, @no_body, credentials, time)
    [{"authorization", authorization} | headers]
  end
end
