defmodule FlyDeployAgent.Connection do
  @moduledoc """
  TCP and TLS for `FlyDeployAgent.Http`. Errors are texts that name the host, and nothing else of a URL. TLS always verifies the peer: with
  the certificates given in `:cacerts` (PEM), else those of the file that the machine names in AWS_CA_BUNDLE, else the operating system's, else
  those of the package castore.
  """

  @connect_ms 10_000
  @idle_ms 30_000
  # Of what is read as it comes.
  @buffer 65_536

  @type t :: {:gen_tcp | :ssl, socket :: term}
  @type options :: [cacerts: binary | nil, headers: [{binary, binary}]]

  @doc "Connects to the host of `url`, and gives what `fun` gives of the connection and the URL."
  @spec with_connection(binary, options, (t, URI.t() -> result)) :: result | {:error, binary} when result: var
  def with_connection(url, options, fun) do
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

  defp certificates(pem) when is_binary(pem) and pem != "", do: {:ok, read(pem)}

  defp certificates(_none) do
    case System.get_env("AWS_CA_BUNDLE", "") do
      "" -> system()
      path -> bundle(path)
    end
  end

  defp bundle(path) do
    with {:ok, pem} <- File.read(path),
         [_ | _] = found <- read(pem) do
      {:ok, found}
    else
      _ -> {:error, "AWS_CA_BUNDLE names no file of certificates (PEM) that can be read"}
    end
  end

  defp read(pem), do: for({:Certificate, der, _} <- :public_key.pem_decode(pem), do: der)

  defp system do
    {:ok, :public_key.cacerts_get()}
  rescue
    _ -> castore()
  end

  defp castore do
    if Code.ensure_loaded?(CAStore),
      do: {:ok, CAStore |> apply(:file_path, []) |> File.read!() |> read()},
      else: {:error, "no CA certificates: neither the system's nor castore's"}
  end

  @spec send_data(t, iodata) :: :ok | {:error, binary}
  def send_data({transport, socket}, data) do
    case transport.send(socket, data) do
      :ok -> :ok
      {:error, reason} -> broken(reason)
    end
  end

  @doc "As `:gen_tcp.recv/3`."
  @spec recv(t, non_neg_integer, pos_integer) :: {:ok, term} | {:error, term}
  def recv({transport, socket}, length, ms \\ @idle_ms), do: transport.recv(socket, length, ms)

  defp close({transport, socket}), do: transport.close(socket)

  @doc "What is read from now on: `:http_bin`, heads of answers, or `:raw`."
  @spec set_packet(t, :http_bin | :raw) :: any
  def set_packet({:gen_tcp, socket}, packet), do: :inet.setopts(socket, packet: packet, buffer: @buffer)
  def set_packet({:ssl, socket}, packet), do: :ssl.setopts(socket, packet: packet)

  @doc "The error of a connection that broke for `reason`."
  @spec broken(term) :: {:error, binary}
  def broken(:timeout), do: {:error, "no data for #{div(@idle_ms, 1000)} s"}
  def broken(reason), do: {:error, "the connection broke: #{reason_text(reason)}"}

  defp failed(doing, uri, reason),
    do: {:error, "#{doing} #{uri.host}:#{uri.port} failed: #{reason_text(reason)}"}

  defp reason_text(reason) when is_atom(reason), do: Atom.to_string(reason)
  defp reason_text({:tls_alert, {alert, _text}}), do: "TLS alert #{alert}"
  defp reason_text(_other), do: "unexpected error"
end
