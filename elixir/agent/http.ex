defmodule FlyDeployAgent.Http do
  @moduledoc """
  A small HTTP/1.1 client for presigned URLs: one request a connection, bodies streamed, no redirects.

  Errors are texts that name the host and never the URL, whose query is a secret. For connections and `:cacerts`, see
  `FlyDeployAgent.Connection`.
  """

  alias FlyDeployAgent.Connection

  import FlyDeployAgent.Connection,
    only: [broken: 1, recv: 2, recv: 3, send_data: 2, set_packet: 2, with_connection: 3]

  # A server that knows nothing of 100-continue is not waited for any longer.
  @continue_ms 2_000
  @chunk 65_536

  @type options :: Connection.options()

  @doc """
  GETs `url` and folds `fun` over the body's pieces. `fun` returns `{:cont, acc}` or `{:halt, text}`.
  """
  @spec get(binary, options, acc, (binary, acc -> {:cont, acc} | {:halt, binary})) ::
          {:ok, acc} | {:error, binary}
        when acc: term
  def get(url, options, acc, fun) do
    with {:status, status} <- fetch(url, options, acc, fun),
         do: {:error, "#{URI.parse(url).host} answered #{status}"}
  end

  @doc "GETs like `get/4`, and gives the status of an answer other than 200."
  @spec fetch(binary, options, acc, (binary, acc -> {:cont, acc} | {:halt, binary})) ::
          {:ok, acc} | {:status, pos_integer} | {:error, binary}
        when acc: term
  def fetch(url, options, acc, fun) do
    case fetch_with_headers(url, options, acc, fun) do
      {:ok, acc, _headers} -> {:ok, acc}
      {:status, status, _body} -> {:status, status}
      {:error, _} = error -> error
    end
  end

  @doc """
  GETs like `fetch/4`, and gives the answer's headers too, by their names in lower case; of an answer other than 200 up
  to 2 KB of its body.
  """
  @spec fetch_with_headers(binary, options, acc, (binary, acc -> {:cont, acc} | {:halt, binary})) ::
          {:ok, acc, %{binary => binary}} | {:status, pos_integer, binary} | {:error, binary}
        when acc: term
  def fetch_with_headers(url, options, acc, fun) do
    with_connection(url, options, fn conn, uri ->
      with :ok <- send_data(conn, head("GET", uri, options[:headers] || [])),
           {:ok, 200, headers} <- response(conn),
           {:ok, acc} <- fold_body(conn, body_length(headers), acc, fun) do
        {:ok, acc, headers}
      else
        {:ok, 304, _} -> {:status, 304, ""}
        {:ok, status, headers} -> {:status, status, excerpt(conn, headers)}
        {:error, _} = error -> error
      end
    end)
  end

  @doc """
  PUTs the file at `path` with `headers` to `url`, telling `progress` the bytes sent so far. Gives the status and up
  to 2 KB of the answer's body.
  """
  @spec put(binary, [{binary, binary}], Path.t(), options, (non_neg_integer -> any)) ::
          {:ok, pos_integer, binary} | {:error, binary}
  def put(url, headers, path, options, progress) do
    with_connection(url, options, fn conn, uri ->
      size = File.stat!(path).size
      headers = [{"content-length", Integer.to_string(size)}, {"expect", "100-continue"} | headers]

      # A server that refuses answers before it has read everything, and may reset: its answer is asked for before the
      # file is sent, and tells more than a failed write does.
      with :ok <- send_data(conn, head("PUT", uri, headers)),
           :continue <- await_continue(conn) do
        sent = send_file(conn, path, progress)
        answered(conn, sent, response(conn))
      else
        answer -> answered(conn, :ok, answer)
      end
    end)
  end

  @doc "Sends `body`, which is small, with `method`. Gives the status and up to 2 KB of the answer's body."
  @spec send_body(binary, binary, [{binary, binary}], binary, options) ::
          {:ok, pos_integer, binary} | {:error, binary}
  def send_body(method, url, headers, body, options) do
    with_connection(url, options, fn conn, uri ->
      headers = [{"content-length", Integer.to_string(byte_size(body))} | headers]
      answered(conn, send_data(conn, [head(method, uri, headers), body]), response(conn))
    end)
  end

  defp answered(conn, _sent, {:ok, status, headers}), do: {:ok, status, excerpt(conn, headers)}
  defp answered(_conn, {:error, _} = error, {:error, _}), do: error
  defp answered(_conn, :ok, {:error, _} = error), do: error

  defp head(method, uri, headers) do
    target = [uri.path || "/", if(uri.query, do: [??, uri.query], else: [])]
    lines = for {name, value} <- headers, do: [name, ": ", value, "\r\n"]

    [method, " ", target, " HTTP/1.1\r\nhost: ", authority(uri), "\r\n"] ++
      [lines, "connection: close\r\nuser-agent: flydeploy\r\n\r\n"]
  end

  @doc "The value of the host header."
  @spec authority(URI.t()) :: binary
  def authority(uri) do
    host = if String.contains?(uri.host, ":"), do: "[#{uri.host}]", else: uri.host
    if uri.port == URI.default_port(uri.scheme), do: host, else: "#{host}:#{uri.port}"
  end

  defp response(conn) do
    case answer(conn, recv(conn, 0)) do
      :continue -> response(conn)
      :silent -> broken(:timeout)
      answer -> answer
    end
  end

  # Whether the server wants to have the body, or answers at once.
  defp await_continue(conn) do
    with :silent <- answer(conn, recv(conn, 0, @continue_ms)), do: :continue
  end

  defp answer(conn, received) do
    case received do
      {:ok, {:http_response, _version, 100, _phrase}} ->
        with {:ok, _, _} <- headers(conn, 100, %{}) do
          set_packet(conn, :http_bin)
          :continue
        end

      {:ok, {:http_response, _version, status, _phrase}} ->
        headers(conn, status, %{})

      {:ok, _} ->
        {:error, "the answer is not HTTP"}

      {:error, :timeout} ->
        :silent

      {:error, reason} ->
        broken(reason)
    end
  end

  defp headers(conn, status, found) do
    case recv(conn, 0) do
      {:ok, {:http_header, _, name, _, value}} ->
        headers(conn, status, Map.put(found, name |> to_string() |> String.downcase(), value))

      {:ok, :http_eoh} ->
        set_packet(conn, :raw)
        {:ok, status, found}

      {:ok, _} ->
        {:error, "the answer's headers are not HTTP"}

      {:error, reason} ->
        broken(reason)
    end
  end

  # A length, or :close where the body ends with the connection; storage never answers chunked.
  defp body_length(headers) do
    case Integer.parse(Map.get(headers, "content-length", "")) do
      {length, ""} -> length
      _ -> :close
    end
  end

  defp fold_body(_conn, 0, acc, _fun), do: {:ok, acc}

  defp fold_body(conn, left, acc, fun) do
    case recv(conn, 0) do
      {:ok, data} ->
        case fun.(data, acc) do
          {:cont, acc} -> fold_body(conn, still(left, data), acc, fun)
          {:halt, text} -> {:error, text}
        end

      {:error, :closed} when left == :close ->
        {:ok, acc}

      {:error, :closed} ->
        {:error, "the connection closed #{left} bytes early"}

      {:error, reason} ->
        broken(reason)
    end
  end

  defp still(:close, _data), do: :close
  defp still(left, data), do: max(left - byte_size(data), 0)

  defp excerpt(conn, headers) do
    keep = fn data, acc -> {:cont, if(byte_size(acc) < 2048, do: acc <> data, else: acc)} end

    case fold_body(conn, body_length(headers), "", keep) do
      {:ok, body} -> binary_part(body, 0, min(byte_size(body), 2048))
      {:error, _} -> ""
    end
  end

  defp send_file(conn, path, progress) do
    {:ok, file} = :file.open(path, [:read, :raw, :binary])

    try do
      send_pieces(conn, file, 0, progress)
    after
      :file.close(file)
    end
  end

  defp send_pieces(conn, file, sent, progress) do
    with {:ok, data} <- :file.read(file, @chunk),
         :ok <- send_data(conn, data) do
      progress.(sent + byte_size(data))
      send_pieces(conn, file, sent + byte_size(data), progress)
    else
      :eof -> :ok
      {:error, text} when is_binary(text) -> {:error, text}
      {:error, reason} -> {:error, "reading the file failed: #{reason}"}
    end
  end
end
