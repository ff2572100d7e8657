defmodule Counter.HTTPTest do
  use ExUnit.Case

  setup do
    endpoint = Process.whereis(Counter.HTTP)
    [listener] = for port <- Port.list(), Port.info(port, :connected) == {:connected, endpoint}, do: port
    {:ok, {_address, number}} = :inet.sockname(listener)
    {:ok, socket} = :gen_tcp.connect({127, 0, 0, 1}, number, [:binary, packet: :http_bin, active: false])
    %{socket: socket}
  end

  defp request(socket, line, headers \\ []) do
    :ok = :gen_tcp.send(socket, [line, " HTTP/1.1\r\n", headers, "\r\n"])
    response(socket)
  end

  defp response(socket) do
    {:ok, {:http_response, {1, 1}, status, _reason}} = :gen_tcp.recv(socket, 0, 5_000)
    size = content_length(socket, nil)
    :ok = :inet.setopts(socket, packet: :raw)
    {:ok, body} = :gen_tcp.recv(socket, size, 5_000)
    :ok = :inet.setopts(socket, packet: :http_bin)
    {status, body}
  end

  defp content_length(socket, size) do
    case :gen_tcp.recv(socket, 0, 5_000) do
      {:ok, {:http_header, _, :"Content-Length", _, value}} -> content_length(socket, String.to_integer(value))
      {:ok, {:http_header, _, _, _, _}} -> content_length(socket, size)
      {:ok, :http_eoh} -> size
    end
  end

  test "answers several requests on one connection, bodies skipped", %{socket: socket} do
    assert {200, ~S({"status":"ok"}) <> "\n"} = request(socket, "GET /health")
    assert {200, first} = request(socket, "POST /counters/5/increment", "content-length: 0\r\n")
    assert first =~ ~r/^{"count":\d+,"number":5}/
    :ok = :gen_tcp.send(socket, "POST /counters/5/increment HTTP/1.1\r\ncontent-length: 3\r\n\r\nabc")
    assert {200, second} = response(socket)
    assert second != first
    assert {200, _} = request(socket, "GET /health")
  end

  test "every page answers with JSON", %{socket: socket} do
    for page <- ~w(health versions counters counters?full=1 sweep?over_ms=40 task statem agent events ets protocol) do
      assert {200, "{" <> _} = request(socket, "GET /#{page}")
    end
  end

  test "tells version, modules and static files", %{socket: socket} do
    {200, body} = request(socket, "GET /versions")
    assert body =~ ~s("version":"#{Counter.Version.number()}")
    assert body =~ ~r/"Counter.Server":{"md5":"[0-9a-f]{32}","old_code":false,"vsn":"\d+"}/
  end

  test "lists the implementations of the consolidated protocol", %{socket: socket} do
    {200, body} = request(socket, "GET /protocol")
    assert body =~ "Counter.State"
    assert body =~ "Milestone" == Counter.Version.number() in ["2.0.0", "3.0.0"]
  end

  test "serves static files, and nothing outside of their folder", %{socket: socket} do
    assert {200, "body {" <> _} = request(socket, "GET /static/style.css")
    assert {200, "<!DOCTYPE html>" <> _} = request(socket, "GET /")
    assert {404, _} = request(socket, "GET /static/..")
    assert {404, _} = request(socket, "GET /static/%2e%2e%2fversion.txt")
    assert {404, _} = request(socket, "GET /static/../../ebin/counter.app")
  end

  test "refuses what it does not know", %{socket: socket} do
    assert {404, _} = request(socket, "GET /nothing")
    assert {404, _} = request(socket, "POST /counters/0/increment")
    assert {404, _} = request(socket, "POST /counters/abc/increment")
    assert {400, _} = request(socket, "GET /sweep?over_ms=-1")
    assert {405, _} = request(socket, "DELETE /counters")
    assert {413, _} = request(socket, "POST /counters/1/increment", "content-length: 70000\r\n")
    assert {:error, :closed} = :gen_tcp.recv(socket, 0, 5_000)
  end

  test "a malformed request ends the connection", %{socket: socket} do
    :ok = :gen_tcp.send(socket, "nonsense\r\n\r\n")
    assert {400, _} = response(socket)
    assert {:error, :closed} = :gen_tcp.recv(socket, 0, 5_000)
  end

  test "closes when asked to", %{socket: socket} do
    assert {200, _} = request(socket, "GET /health", "connection: close\r\n")
    assert {:error, :closed} = :gen_tcp.recv(socket, 0, 5_000)
  end

  test "a counter that dies during a request makes a 500, and the connection goes on", %{socket: socket} do
    {:ok, pid} = Counter.fetch(9)
    :ok = :sys.suspend(pid)
    :ok = :gen_tcp.send(socket, "POST /counters/9/increment HTTP/1.1\r\n\r\n")
    await_message(pid)
    Process.exit(pid, :kill)
    assert {500, body} = response(socket)
    assert body =~ "killed"
    assert {200, _} = request(socket, "GET /health")
  end

  defp await_message(pid, left \\ 500) do
    unless Process.info(pid, :message_queue_len) == {:message_queue_len, 1} do
      if left == 0, do: flunk("no message came")
      Process.sleep(10)
      await_message(pid, left - 1)
    end
  end
end
