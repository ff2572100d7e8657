defmodule FlyDeploy.TestBucket do
  # A bucket named "bucket": answers as S3 does, one connection each, and remembers what it was asked for.

  import ExUnit.Callbacks, only: [start_supervised!: 2]

  @date "Sun, 29 Nov 2026 12:00:00 GMT"

  def start(objects) do
    objects = start_supervised!({Agent, fn -> objects end}, id: :objects)
    asked = start_supervised!({Agent, fn -> [] end}, id: :asked)
    {:ok, listener} = :gen_tcp.listen(0, [:binary, ip: {127, 0, 0, 1}, active: false, packet: :raw])
    {:ok, port} = :inet.port(listener)
    start_supervised!({Task, fn -> accept(listener, objects, asked) end}, id: :bucket)
    %{objects: objects, asked: asked, port: port}
  end

  def put(objects, key, object), do: Agent.update(objects, &Map.put(&1, key, object))

  def asked(asked), do: asked |> Agent.get(& &1) |> Enum.reverse()

  defp accept(listener, objects, asked) do
    with {:ok, socket} <- :gen_tcp.accept(listener),
         {:ok, request} <- :gen_tcp.recv(socket, 0) do
      answer(socket, request, objects, asked)
      :gen_tcp.close(socket)
      accept(listener, objects, asked)
    end
  end

  defp answer(socket, request, objects, asked) do
    [method, "/bucket/" <> key | _] = String.split(request, [" ", "?"])
    if method == "GET", do: Agent.update(asked, &[key | &1]), else: put(objects, key, body(request, socket))
    object = Agent.get(objects, & &1[key])
    etag = ~s("#{:erlang.phash2(object)}")

    {status, body} =
      cond do
        method == "PUT" -> {200, ""}
        object == nil -> {404, ""}
        request =~ "if-none-match: #{etag}" -> {304, ""}
        true -> {200, object}
      end

    :gen_tcp.send(socket, [
      "HTTP/1.1 #{status} X\r\ncontent-length: #{byte_size(body)}\r\netag: #{etag}\r\n",
      "date: #{@date}\r\nlast-modified: Sun, 29 Nov 2026 11:59:00 GMT\r\n\r\n",
      body
    ])
  end

  # What a request sends, "" for nothing: the head may come before it.
  def body(request, socket) do
    [head, body] = String.split(request, "\r\n\r\n", parts: 2)
    length = with [_, length] <- Regex.run(~r/content-length: (\d+)/, head), do: String.to_integer(length)

    if is_integer(length) and byte_size(body) < length do
      {:ok, rest} = :gen_tcp.recv(socket, length - byte_size(body))
      body <> rest
    else
      body
    end
  end
end
