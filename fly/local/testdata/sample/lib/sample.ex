defmodule Sample do
  @moduledoc """
  The smallest application that the local Fly's tests can look into: a counter in a supervision tree, and an HTTP
  endpoint on PORT that answers one line.

    * `GET /env/NAME` - a variable of the VM's environment
    * `GET /count` - how often it was asked, which only a new boot sets back
    * `GET /read/PATH` - the file at PATH below the release's root
    * `GET /write/NAME` - writes a file of that name below the release's root
    * `GET /fetch/PORT` - the status line of an HTTP request to 127.0.0.1:PORT
    * `GET /halt/STATUS` - ends the VM
  """
  use Application

  @impl true
  def start(_type, _args) do
    children = [Sample.Counter, {Task, &Sample.Endpoint.listen/0}]
    Supervisor.start_link(children, strategy: :one_for_one, name: Sample.Supervisor)
  end
end

defmodule Sample.Counter do
  @moduledoc false
  use GenServer

  def start_link(_), do: GenServer.start_link(__MODULE__, 0, name: __MODULE__)
  def next, do: GenServer.call(__MODULE__, :next)

  @impl true
  def init(count), do: {:ok, count}

  @impl true
  def handle_call(:next, _from, count), do: {:reply, count + 1, count + 1}
end

defmodule Sample.Endpoint do
  @moduledoc false

  def listen do
    port = String.to_integer(System.get_env("PORT", "8080"))
    options = [:binary, packet: :http_bin, active: false, reuseaddr: true, ip: {127, 0, 0, 1}]
    {:ok, socket} = :gen_tcp.listen(port, options)
    accept(socket)
  end

  defp accept(socket) do
    {:ok, client} = :gen_tcp.accept(socket)

    # Who only connects to see whether somebody listens asks nothing.
    with {:ok, {:http_request, :GET, {:abs_path, path}, _version}} <- :gen_tcp.recv(client, 0) do
      body = answer(String.split(path, "/", trim: true))
      head = "HTTP/1.1 200 OK\r\nconnection: close\r\ncontent-length: #{byte_size(body)}\r\n\r\n"
      :gen_tcp.send(client, [head, body])
    end

    :gen_tcp.close(client)
    accept(socket)
  end

  defp answer(["count"]), do: Integer.to_string(Sample.Counter.next())
  defp answer(["env", name]), do: System.get_env(name, "")
  defp answer(["halt", status]), do: status |> String.to_integer() |> System.halt()

  defp answer(["write", name]) do
    inspect(File.write(Path.join(System.fetch_env!("RELEASE_ROOT"), name), "written"))
  end

  defp answer(["read" | path]) do
    case File.read(Path.join([System.fetch_env!("RELEASE_ROOT") | path])) do
      {:ok, content} -> content
      {:error, reason} -> Atom.to_string(reason)
    end
  end

  defp answer(["fetch", port]) do
    with {:ok, socket} <-
           :gen_tcp.connect(
             {127, 0, 0, 1},
             String.to_integer(port),
             [:binary, active: false],
             5_000
           ),
         :ok <- :gen_tcp.send(socket, "GET / HTTP/1.0\r\n\r\n"),
         {:ok, bytes} <- :gen_tcp.recv(socket, 0, 5_000) do
      bytes |> String.split("\r\n") |> hd()
    else
      {:error, reason} -> inspect(reason)
    end
  end

  defp answer(_path), do: "unknown"
end
