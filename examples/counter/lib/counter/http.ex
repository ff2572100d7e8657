defmodule Counter.HTTP do
  @moduledoc "The HTTP endpoint, on the loopback interface only: a listening socket, an acceptor, a task per connection."

  use Supervisor

  require Logger

  @options [:binary, packet: :http_bin, active: false, reuseaddr: true, nodelay: true, backlog: 1024]

  def start_link(port), do: Supervisor.start_link(__MODULE__, port, name: __MODULE__)

  @impl Supervisor
  def init(port) do
    children = [
      {Task.Supervisor, name: Counter.HTTP.Connections},
      {Counter.HTTP.Acceptor, listen!(port)}
    ]

    # The connections go first at shutdown, so no request is cut by a counter that is gone.
    Supervisor.init(children, strategy: :rest_for_one)
  end

  # The supervisor owns the socket: it stays open whatever happens to the acceptor.
  defp listen!(port) do
    case :gen_tcp.listen(port, [{:ip, {127, 0, 0, 1}} | @options]) do
      {:ok, socket} ->
        {:ok, port} = :inet.port(socket)
        Logger.info("listening on 127.0.0.1:#{port}")
        socket

      {:error, reason} ->
        raise "cannot listen on 127.0.0.1:#{port}: #{:inet.format_error(reason)}; set PORT to a free port"
    end
  end
end
