defmodule FlyDeploy.Storage do
  @moduledoc false

  # Reads objects of the bucket. Errors name the host, never a header.

  alias FlyDeploy.{Settings, Signer}
  alias FlyDeployAgent.Http

  # Storage that stumbles is asked again, after so many milliseconds each.
  @pauses [200, 800]
  @transient [408, 429, 500, 502, 503, 504]
  # current.json is about a kilobyte; every machine with an upgrade of its own adds half of one.
  @max_document 4 * 1024 * 1024
  # The sha256 of no bytes: a GET has no body.
  @no_body "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

  @doc "Reads a small object whole."
  @spec read(Settings.t(), String.t()) :: {:ok, binary} | :not_found | {:error, String.t()}
  def read(settings, key) do
    get(settings, key, [], fn data, read ->
      if IO.iodata_length(read) > @max_document,
        do: {:halt, "#{key} is larger than #{@max_document} bytes"},
        else: {:cont, [read, data]}
    end)
    |> case do
      {:ok, read} -> {:ok, IO.iodata_to_binary(read)}
      other -> other
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
    case get(settings, key, {0, :crypto.hash_init(:sha256)}, &write(file, size, &1, &2)) do
      {:ok, {^size, hash}} -> compare(hash, sha256)
      {:ok, {got, _}} -> {:error, "the tarball has #{got} bytes instead of #{size}"}
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
    if hash |> :crypto.hash_final() |> Base.encode16(case: :lower) == sha256,
      do: :ok,
      else: {:error, "the tarball's sha256 is not the recorded one"}
  end

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

  defp get(settings, key, start, fun), do: get(settings, key, start, fun, @pauses)

  defp get(settings, key, start, fun, pauses) do
    url = Enum.join([settings.endpoint, settings.bucket, Signer.encode(key)], "/")

    case {Http.fetch(url, [headers: headers(url, settings)], start, fun), pauses} do
      {{:ok, result}, _} -> {:ok, result}
      {{:status, 404}, _} -> :not_found
      {{:status, status}, []} -> {:error, refused(url, status)}
      {{:status, status}, _} when status not in @transient -> {:error, refused(url, status)}
      {{:error, text}, []} -> {:error, text}
      {_, [pause | pauses]} -> Process.sleep(pause) && get(settings, key, start, fun, pauses)
    end
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
