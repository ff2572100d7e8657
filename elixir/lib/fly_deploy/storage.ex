defmodule FlyDeploy.Storage do
  @moduledoc false

  # Reads objects of the bucket, and writes small ones. Errors name the host, never a header.

  alias FlyDeploy.{HttpDate, Settings, Signer}
  alias FlyDeployAgent.Http

  # How long to wait before each further try when the storage fails for a moment, in milliseconds.
  @pauses [200, 800]
  @transient [408, 429, 500, 502, 503, 504]
  # current.json is about a kilobyte; every machine with an upgrade of its own adds half of one.
  @max_document 4 * 1024 * 1024
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

  @doc "Writes a small object, in place of one that is there. It is to be read first: that finds out how the bucket is addressed."
  @spec write(Settings.t(), String.t(), binary) :: :ok | {:error, String.t()}
  def write(settings, key, body), do: change(settings, "PUT", key, body, @pauses)

  @doc "Deletes an object, if it is there."
  @spec delete(Settings.t(), String.t()) :: :ok | {:error, String.t()}
  def delete(settings, key), do: change(settings, "DELETE", key, "", @pauses)

  defp change(settings, method, key, body, pauses) do
    url = url(settings, key, addressing())
    headers = headers(method, url, body, settings)

    case {Http.send_body(method, url, headers, body, cacerts: settings.cacerts), pauses} do
      {{:ok, status, _}, _} when status in [200, 204] ->
        :ok

      {{:ok, status, _}, [pause | rest]} when status in @transient ->
        Process.sleep(pause) && change(settings, method, key, body, rest)

      {{:ok, status, answer}, _} ->
        {:error, "#{host(url)} answered #{words(status, code(answer))} to a #{method}"}

      {{:error, text}, []} ->
        {:error, text}

      {{:error, _}, [pause | rest]} ->
        Process.sleep(pause) && change(settings, method, key, body, rest)
    end
  end

  @doc """
  The key of an object by its bare, path-style URL. It must lie below releases/ in the bucket that is configured.

      iex> FlyDeploy.Storage.key("https://fly.storage.tigris.dev/mine/releases/my_app-1.2%2B3.tar.gz", "mine")
      {:ok, "releases/my_app-1.2+3.tar.gz"}
      iex> FlyDeploy.Storage.key("https://fly.storage.tigris.dev/yours/releases/my_app-1.2.3.tar.gz", "mine")
      {:error, "tarball_url is not an object in the bucket mine"}
  """
  @spec key(String.t(), String.t()) :: {:ok, String.t()} | {:error, String.t()}
  def key(url, bucket) do
    with %URI{path: <<_, _::binary>> = path} <- URI.parse(url),
         [_, "releases/" <> _ = key] <- path |> URI.decode() |> String.split("/#{bucket}/", parts: 2) do
      {:ok, key}
    else
      _ -> {:error, "tarball_url is not an object in the bucket #{bucket}"}
    end
  end

  # Some storages take a bucket's name in the path, others (Tigris for newer buckets) only as a part of the host's: where
  # the first is refused the second is tried, and remembered if it is answered.
  defp get(settings, key, conditions, start, fun) do
    request = {settings, key, conditions, start, fun}

    with {:misaddressed, refusal} <- ask(request, addressing(), @pauses) do
      if addressing() == :path and hosted?(settings),
        do: ask_hosted(request, refusal),
        else: {:error, refusal}
    end
  end

  defp ask_hosted(request, refusal) do
    case ask(request, :virtual_host, @pauses) do
      {word, _} when word in [:misaddressed, :error] ->
        {:error, refusal}

      answer ->
        Application.put_env(:fly_deploy, :addressing, :virtual_host)
        answer
    end
  end

  defp addressing, do: Application.get_env(:fly_deploy, :addressing, :path)

  # An address in numbers has no names below it.
  defp hosted?(settings) do
    host = settings.endpoint |> URI.parse() |> Map.fetch!(:host) |> String.to_charlist()
    match?({:error, _}, :inet.parse_address(host))
  end

  defp ask({settings, key, conditions, start, fun} = request, addressing, pauses) do
    url = url(settings, key, addressing)
    options = [headers: conditions ++ headers("GET", url, "", settings), cacerts: settings.cacerts]

    case {Http.fetch_with_headers(url, options, start, fun), pauses} do
      {{:ok, _result, _headers} = answer, _} ->
        answer

      {{:status, 304, _}, _} ->
        :unchanged

      {{:status, status, _}, [pause | rest]} when status in @transient ->
        again(request, addressing, pause, rest)

      {{:status, status, body}, _} ->
        refused(settings, url, status, code(body))

      {{:error, text}, []} ->
        {:error, text}

      {{:error, _}, [pause | rest]} ->
        again(request, addressing, pause, rest)
    end
  end

  defp again(request, addressing, pause, rest), do: Process.sleep(pause) && ask(request, addressing, rest)

  # S3's word for what is wrong, "" where there is none.
  defp code(body) do
    case Regex.run(~r"<Code>(\w+)</Code>", body) do
      [_, code] -> code
      nil -> ""
    end
  end

  @wrong_keys ~w(InvalidAccessKeyId SignatureDoesNotMatch RequestTimeTooSkewed ExpiredToken InvalidToken)

  defp refused(settings, url, 404, "NoSuchBucket"),
    do:
      {:error, "#{host(url)} has no bucket #{settings.bucket}: set AWS_BUCKET to the one that flydeploy uses"}

  defp refused(_settings, _url, 404, _code), do: :not_found

  defp refused(_settings, url, 403, code) do
    text =
      "#{host(url)} answered #{words(403, code)}: the keys may not read it, or this machine's clock is wrong"

    if code in @wrong_keys, do: {:error, text}, else: {:misaddressed, text}
  end

  defp refused(_settings, url, status, "VirtualHostDomainRequired" = code),
    do: {:misaddressed, "#{host(url)} answered #{words(status, code)}"}

  defp refused(_settings, url, status, code), do: {:error, "#{host(url)} answered #{words(status, code)}"}

  defp words(status, ""), do: "#{status}"
  defp words(status, code), do: "#{status} #{code}"

  defp host(url), do: URI.parse(url).host

  defp url(settings, key, :path), do: Enum.join([settings.endpoint, settings.bucket, Signer.encode(key)], "/")

  defp url(settings, key, :virtual_host) do
    endpoint = URI.parse(settings.endpoint)
    Enum.join([%{endpoint | host: "#{settings.bucket}.#{endpoint.host}"}, Signer.encode(key)], "/")
  end

  @doc "A URL from which anybody can GET the object for `valid_s` seconds. It is a secret."
  @spec presign(Settings.t(), String.t(), pos_integer) :: String.t()
  def presign(settings, key, valid_s) do
    url = url(settings, key, addressing())
    uri = URI.parse(url)
    credentials = Map.put(settings, :service, "s3")
    url <> "?" <> Signer.query("GET", uri.path, Http.authority(uri), valid_s, credentials, DateTime.utc_now())
  end

  defp headers(method, url, body, settings) do
    time = DateTime.utc_now()
    sha256 = hex(:crypto.hash(:sha256, body))

    headers = [
      {"x-amz-content-sha256", sha256},
      {"x-amz-date", Signer.date(time)},
      # Tigris' buckets are global and eventually consistent: this asks for the object's latest version.
      {"x-tigris-consistent", "true"}
    ]

    headers =
      if settings.session_token,
        do: [{"x-amz-security-token", settings.session_token} | headers],
        else: headers

    credentials = Map.put(settings, :service, "s3")
    signed = [{"host", Http.authority(URI.parse(url))} | headers]
    authorization = Signer.authorization(method, URI.parse(url).path, signed, sha256, credentials, time)
    [{"authorization", authorization} | headers]
  end
end
