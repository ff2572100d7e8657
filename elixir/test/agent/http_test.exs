defmodule FlyDeployAgent.HttpTest do
  use ExUnit.Case, async: true

  alias FlyDeployAgent.Http

  @secret "X-Amz-Signature=5ec4e7"

  # Answers one connection with `reply`, a binary or a function of the socket, and tells what it was asked.
  defp serve(reply, transport \\ :gen_tcp, options \\ []) do
    test = self()
    {:ok, listener} = transport.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false] ++ options)
    {:ok, {_, port}} = if transport == :ssl, do: :ssl.sockname(listener), else: :inet.sockname(listener)

    start_supervised!(
      {Task,
       fn ->
         with {:ok, socket} <- accept(transport, listener) do
           send(test, {:asked, request(transport, socket, "")})
           if is_function(reply), do: reply.(socket), else: transport.send(socket, reply)
           transport.close(socket)
         end
       end},
      id: port
    )

    port
  end

  defp accept(:gen_tcp, listener), do: :gen_tcp.accept(listener)

  defp accept(:ssl, listener),
    do: with({:ok, socket} <- :ssl.transport_accept(listener), do: :ssl.handshake(socket))

  defp request(transport, socket, read) do
    {:ok, data} = transport.recv(socket, 0, 5_000)

    if String.contains?(read <> data, "\r\n\r\n"),
      do: read <> data,
      else: request(transport, socket, read <> data)
  end

  defp get(url, options \\ []), do: Http.get(url, options, "", fn data, acc -> {:cont, acc <> data} end)

  defp url(port, scheme \\ "http", host \\ "127.0.0.1"),
    do: "#{scheme}://#{host}:#{port}/b/a%20b.tar.gz?#{@secret}"

  defp ok(body), do: "HTTP/1.1 200 OK\r\nContent-Length: #{byte_size(body)}\r\nX: y\r\n\r\n" <> body

  test "gets a body, whatever pieces it comes in" do
    body = String.duplicate("0123456789", 50_000)
    port = serve(ok(body))
    assert get(url(port)) == {:ok, body}
    assert_received {:asked, "GET /b/a%20b.tar.gz?X-Amz-Signature=5ec4e7 HTTP/1.1\r\nhost: 127.0.0.1:" <> _}
  end

  test "gets a body that ends with the connection, and an empty one" do
    assert get(url(serve("HTTP/1.1 200 OK\r\n\r\nhello"))) == {:ok, "hello"}
    assert get(url(serve(ok("")))) == {:ok, ""}
  end

  test "stops where the reader wants no more" do
    port = serve(ok("hello"))
    assert Http.get(url(port), [], nil, fn _, _ -> {:halt, "enough"} end) == {:error, "enough"}
  end

  test "tells what went wrong, and never the URL's query" do
    {:ok, closed} = :gen_tcp.listen(0, [])
    {:ok, unused} = :inet.port(closed)
    :gen_tcp.close(closed)

    for {port, expected} <- [
          {serve("HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"), "127.0.0.1 answered 403"},
          {serve("HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhell"), "closed 6 bytes early"},
          {serve("HTTP/1.1 200 OK\r\nContent-Le"), "connection broke: closed"},
          {serve("nonsense\r\n\r\n"), "not HTTP"},
          {serve(&:inet.setopts(&1, linger: {true, 0})), "connection broke"},
          {unused, "connecting to 127.0.0.1:#{unused} failed: econnrefused"}
        ] do
      assert {:error, text} = get(url(port))
      assert text =~ expected
      refute text =~ "5ec4e7"
    end

    assert {:error, "the URL is neither http nor https"} = get("ftp://x/y")
  end

  @tag :tmp_dir
  test "puts a file with the headers that were signed", %{tmp_dir: dir} do
    path = Path.join(dir, "file")
    body = :crypto.strong_rand_bytes(200_000)
    File.write!(path, body)
    test = self()

    port =
      serve(fn socket ->
        :gen_tcp.send(socket, "HTTP/1.1 100 Continue\r\n\r\n")
        {:ok, rest} = :gen_tcp.recv(socket, byte_size(body), 5_000)
        send(test, {:rest, rest})
        :gen_tcp.send(socket, "HTTP/1.1 412 No\r\nContent-Length: 6\r\n\r\nexists")
      end)

    headers = [{"if-none-match", "*"}]
    assert Http.put(url(port), headers, path, [], &send(test, {:sent, &1})) == {:ok, 412, "exists"}
    assert_received {:asked, "PUT " <> request}
    assert request =~ "\r\ncontent-length: 200000\r\nexpect: 100-continue\r\nif-none-match: *\r\n"
    assert_received {:rest, ^body}
    assert_received {:sent, 65_536}
    assert_received {:sent, 200_000}
  end

  @tag :tmp_dir
  test "tells an answer that comes before the file is sent", %{tmp_dir: dir} do
    path = Path.join(dir, "file")
    File.write!(path, "content")
    port = serve("HTTP/1.1 403 Forbidden\r\nContent-Length: 6\r\n\r\ndenied")
    assert Http.put(url(port), [], path, [], &send(self(), {:sent, &1})) == {:ok, 403, "denied"}
    refute_received {:sent, _}
  end

  @tag :tmp_dir
  test "sends the file to a server that knows nothing of 100-continue", %{tmp_dir: dir} do
    path = Path.join(dir, "file")
    File.write!(path, "content")

    port =
      serve(fn socket ->
        {:ok, "content"} = :gen_tcp.recv(socket, 7, 30_000)
        :gen_tcp.send(socket, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
      end)

    assert Http.put(url(port), [], path, [], fn _ -> :ok end) == {:ok, 200, ""}
  end

  describe "TLS" do
    setup do
      %{server_config: server, client_config: client} =
        :public_key.pkix_test_data(%{
          server_chain: %{
            root: certificate(),
            intermediates: [],
            peer: [extensions: [host("localhost")]] ++ certificate()
          },
          client_chain: %{root: certificate(), intermediates: [], peer: certificate()}
        })

      pem = :public_key.pem_encode(for der <- client[:cacerts], do: {:Certificate, der, :not_encrypted})
      %{server: Keyword.take(server, [:cert, :key]), pem: pem}
    end

    # SHA-1, the default, is refused from OTP 27 on.
    defp certificate, do: [digest: :sha256, key: {:namedCurve, :secp256r1}]
    defp host(name), do: {:Extension, {2, 5, 29, 17}, false, [dNSName: String.to_charlist(name)]}

    test "works with certificates that are given", %{server: server, pem: pem} do
      port = serve(ok("hello"), :ssl, server)
      assert get(url(port, "https", "localhost"), cacerts: pem) == {:ok, "hello"}
    end

    # As the startup hook takes them, so does a deploy.
    @tag :tmp_dir
    test "works with those that the machine names", %{server: server, pem: pem, tmp_dir: dir} do
      bundle = Path.join(dir, "ca.pem")
      System.put_env("AWS_CA_BUNDLE", bundle)
      on_exit(fn -> System.delete_env("AWS_CA_BUNDLE") end)
      port = serve(ok("hello"), :ssl, server)

      for text <- [nil, "", "no certificate"] do
        if text, do: File.write!(bundle, text)
        assert {:error, "AWS_CA_BUNDLE names no file" <> _} = get(url(port, "https", "localhost"))
      end

      File.write!(bundle, pem)
      assert get(url(port, "https", "localhost")) == {:ok, "hello"}
    end

    test "refuses a server that nobody vouches for", %{server: server} do
      port = serve(ok("hello"), :ssl, server ++ [log_level: :none])
      assert {:error, text} = get(url(port, "https", "localhost"))
      assert text =~ "TLS with localhost" or text =~ "no CA certificates"
      refute text =~ "5ec4e7"
    end

    test "refuses a certificate of another host", %{server: server, pem: pem} do
      port = serve(ok("hello"), :ssl, server ++ [log_level: :none])
      assert {:error, text} = get(url(port, "https"), cacerts: pem)
      assert text =~ "TLS with 127.0.0.1:#{port} failed: TLS alert"
    end
  end
end
