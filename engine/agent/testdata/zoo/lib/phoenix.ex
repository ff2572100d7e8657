# Stand-ins for what Phoenix runs in a VM, as far as an upgrade meets it: the same names, records and messages. What LiveView keeps
# to itself is in live_view.ex.

defmodule Phoenix.LiveView do
  @moduledoc false
  @callback render(map) :: map
end

defmodule Phoenix.LiveComponent do
  @moduledoc false
  @callback render(map) :: map
end

defmodule Phoenix.LiveView.Channel do
  @moduledoc false
  use GenServer
  alias Phoenix.LiveView.{Browser, Diff, Renderer, Socket, Utils}

  # LiveView waits for 15 s.
  def start_link({view, name}),
    do: GenServer.start_link(__MODULE__, view, name: name, hibernate_after: 10)

  def init(view) do
    Process.put(:"$initial_call", {view, :mount, 3})
    socket = %Socket{view: view, transport_pid: Browser.start_link()}

    state = %{
      socket: socket,
      components: Diff.new_components(),
      fingerprints: Diff.new_fingerprints()
    }

    {:ok, state |> Map.merge(%{topic: "lv:1", join_ref: "1", serializer: Browser}) |> render()}
  end

  # What the page shows, and the view's assigns.
  def handle_call(:state, _from, %{socket: socket} = state),
    do: {:reply, {Browser.shown(socket.transport_pid), socket.assigns |> Map.delete(:__changed__) |> Enum.sort()}, state}

  # An event.
  def handle_info({:assign, key, value}, %{socket: socket} = state),
    do: {:noreply, render(%{state | socket: Utils.assign(socket, key, value)})}

  def code_change(old, %{socket: socket} = state, extra) do
    if function_exported?(socket.view, :code_change, 3) do
      {:ok, socket} = socket.view.code_change(old, socket, extra)
      {:ok, %{state | socket: socket}}
    else
      {:ok, state}
    end
  end

  defp render(%{socket: socket} = state) do
    rendered = Renderer.to_rendered(socket, socket.view)

    {diff, prints, components} = Diff.render(socket, rendered, state.fingerprints, state.components)

    send(socket.transport_pid, {:diff, diff})
    %{state | socket: Utils.clear_changed(socket), fingerprints: prints, components: components}
  end
end

defmodule Phoenix.Channel do
  @moduledoc false
  @callback join(term, term, term) :: term
end

defmodule Phoenix.Channel.Server do
  @moduledoc false
  use GenServer

  # Phoenix waits for 15 s.
  def start_link({channel, name}),
    do: GenServer.start_link(__MODULE__, channel, name: name, hibernate_after: 10)

  def init(channel) do
    Process.put(:"$initial_call", {channel, :join, 3})
    {:ok, %{channel: channel, assigns: []}}
  end

  def handle_call(:state, _from, s), do: {:reply, s.assigns, s}

  def code_change(old, %{channel: channel} = socket, extra),
    do: channel.code_change(old, socket, extra)
end

defmodule Phoenix.Endpoint do
  @moduledoc false
  @callback config_change(term, term) :: term
end
