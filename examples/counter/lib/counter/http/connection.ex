defmodule Counter.HTTP.Connection do
  @moduledoc "Serves one connection: HTTP/1.1 requests one after another, until the client closes or asks to."

  alias Counter.HTTP.Router

  require Logger

  @idle_ms 300_000
  @max_body 65_536
  @reasons %{
    200 => "OK",
    400 => "Bad Request",
    404 => "Not Found",
    405 => "Method Not Allowed",
    413 => "Content Too Large",
    500 => "Internal Server Error"
  }

  @doc "Waits for its socket (`{:serve, socket}`), then serves it to the end."
  def run do
    receive do
      {:serve, socket} ->
        serve(socket)
        :gen_tcp.close(socket)
    end
  end

  defp serve(socket) do
    case read_request(socket) do
      {:ok, method, path, keep_alive?} ->
        {status, type, body} = Router.route(method, path)
        sent = respond(socket, status, type, body, keep_alive?)
        if sent == :ok and keep_alive?, do: serve(socket)

      {:refused, status} ->
        respond(socket, status, "text/plain", "#{@reasons[status]}\n", false)

      {:error, _closed_or_idle} ->
        :ok
    end
  end

  defp read_request(socket) do
    with {:ok, {:http_request, method, {:abs_path, path}, version}} <- :gen_tcp.recv(socket, 0, @idle_ms),
         {:ok, headers} <- read_headers(socket, %{}),
         :ok <- skip_body(socket, headers) do
      {:ok, to_string(method), path, keep_alive?(version, headers)}
    else
      {:ok, _not_a_request} -> {:refused, 400}
      other -> other
    end
  end

  defp read_headers(socket, headers) do
    case :gen_tcp.recv(socket, 0, @idle_ms) do
      {:ok, {:http_header, _, name, _, value}} ->
        read_headers(socket, Map.put(headers, String.downcase(to_string(name)), value))

      {:ok, :http_eoh} ->
        {:ok, headers}

      other ->
        other
    end
  end

  # No endpoint takes a body, but the next request starts behind it.
  defp skip_body(socket, headers) do
    case Integer.parse(Map.get(headers, "content-length", "0")) do
      {0, ""} -> :ok
      {size, ""} when size in 1..@max_body -> skip_bytes(socket, size)
      _ -> {:refused, 413}
    end
  end

  defp skip_bytes(socket, size) do
    with :ok <- :inet.setopts(socket, packet: :raw),
         {:ok, _body} <- :gen_tcp.recv(socket, size, @idle_ms) do
      :inet.setopts(socket, packet: :http_bin)
    end
  end

  defp keep_alive?(version, headers) do
    case {version, String.downcase(Map.get(headers, "connection", ""))} do
      {_, "close"} -> false
      {{1, 0}, "keep-alive"} -> true
      {version, _} -> version >= {1, 1}
    end
  end

  defp respond(socket, status, type, body, keep_alive?) do
    head = [
      "HTTP/1.1 #{status} #{Map.fetch!(@reasons, status)}\r\n",
      "content-type: #{type}\r\n",
      "content-length: #{IO.iodata_length(body)}\r\n",
      if(keep_alive?, do: [], else: "connection: close\r\n"),
      "\r\n"
    ]

    :gen_tcp.send(socket, [head, body])
  end
end
