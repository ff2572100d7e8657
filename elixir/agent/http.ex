defmodule FlyDeployAgent.Http do
  @moduledoc """
  A small HTTP/1.1 client for presigned URLs: one request a connection, bodies streamed, no redirects.

  Errors are texts that name the host and never the URL, whose query is a secret. TLS always verifies the peer: with
  the certificates given in `:cacerts` (PEM), else the operating system's, else those of the package castore.
  """

  @connect_ms 10_000
  @idle_ms 30_000
  # A server that knows nothing of 100-continue is not waited for any longer.
  @continue_ms 2_000
  @chunk 65_536

  @type options :: [cacerts: binary | nil, headers: [{binary, binary}]]

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

  defp with_connection(url, options, fun) do
    uri = URI.parse(url)

    with {:ok, conn} <- connect(uri, options) do
      try do
        fun.(conn, uri)
      after
        close(conn)
      end
    end
  end

  defp connect(%URI{scheme: "http"} = uri, _options) do
    case tcp_connect(uri) do
      {:ok, socket} -> {:ok, {:gen_tcp, socket}}
      {:error, reason} -> failed("connecting to", uri, reason)
    end
  end

  defp connect(%URI{scheme: "https"} = uri, options) do
    with :ok <- tls_present(),
         {:ok, tls} <- tls_options(uri.host, options[:cacerts]),
         {:tcp, {:ok, socket}} <- {:tcp, tcp_connect(uri)},
         {:tls, {:ok, socket}} <- {:tls, :ssl.connect(socket, tls, @connect_ms)} do
      {:ok, {:ssl, socket}}
    else
      {:tcp, {:error, reason}} -> failed("connecting to", uri, reason)
      {:tls, {:error, reason}} -> failed("TLS with", uri, reason)
      {:error, text} -> {:error, text}
    end
  end

  defp connect(%URI{}, _options), do: {:error, "the URL is neither http nor https"}

  defp tcp_connect(uri) do
    options = [:binary, active: false, packet: :http_bin, nodelay: true, send_timeout: @idle_ms]
    host = String.to_charlist(uri.host)

    case :gen_tcp.connect(host, uri.port, options, @connect_ms) do
      {:error, reason} when reason in [:nxdomain, :eafnosupport, :ehostunreach, :enetunreach] ->
        :gen_tcp.connect(host, uri.port, [:inet6 | options], @connect_ms)

      answer ->
        answer
    end
  end

  defp tls_present do
    if Code.ensure_loaded?(:ssl) do
      case Application.ensure_all_started(:ssl) do
        {:ok, _} -> :ok
        {:error, _} -> {:error, "the application :ssl does not start"}
      end
    else
      {:error, "the release lacks :ssl: add it to extra_applications and deploy cold once"}
    end
  end

  defp tls_options(host, pem) do
    with {:ok, certificates} <- certificates(pem) do
      {:ok,
       [
         verify: :verify_peer,
         # A failure is told to the console, not to the application's log.
         log_level: :error,
         cacerts: certificates,
         depth: 5,
         server_name_indication: String.to_charlist(host),
         customize_hostname_check: [
           match_fun: :public_key.pkix_verify_hostname_match_fun(:https)
         ]
       ]}
    end
  end

  defp certificates(pem) when is_binary(pem) and pem != "" do
    {:ok, for({:Certificate, der, _} <- :public_key.pem_decode(pem), do: der)}
  end

  defp certificates(_none) do
    {:ok, :public_key.cacerts_get()}
  rescue
    _ -> castore()
  end

  defp castore do
    if Code.ensure_loaded?(CAStore) do
      CAStore |> apply(:file_path, []) |> File.read!() |> certificates()
    else
      {:error, "no CA certificates: neither the system's nor castore's"}
    end
  end

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
    case answer(conn, @idle_ms) do
      :continue -> response(conn)
      :silent -> broken(:timeout)
      answer -> answer
    end
  end

  # Whether the server wants to have the body, or answers at once.
  defp await_continue(conn) do
    with :silent <- answer(conn, @continue_ms), do: :continue
  end

  defp answer(conn, ms) do
    case recv(conn, 0, ms) do
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

  defp send_data({transport, socket}, data) do
    case transport.send(socket, data) do
      :ok -> :ok
      {:error, reason} -> broken(reason)
    end
  end

  defp recv({transport, socket}, length, ms \\ @idle_ms), do: transport.recv(socket, length, ms)
  defp close({transport, socket}), do: transport.close(socket)
  defp set_packet({:gen_tcp, socket}, packet), do: :inet.setopts(socket, packet: packet, buffer: @chunk)
  defp set_packet({:ssl, socket}, packet), do: :ssl.setopts(socket, packet: packet)

  defp broken(:timeout), do: {:error, "no data for #{div(@idle_ms, 1000)} s"}
  defp broken(reason), do: {:error, "the connection broke: #{reason_text(reason)}"}

  defp failed(doing, uri, reason),
    do: {:error, "#{doing} #{uri.host}:#{uri.port} failed: #{reason_text(reason)}"}

  defp reason_text(reason) when is_atom(reason), do: Atom.to_string(reason)
  defp reason_text({:tls_alert, {alert, _text}}), do: "TLS alert #{alert}"
  defp reason_text(_other), do: "unexpected error"
end
