# Every kind of process that an upgrade meets. Each keeps the versions in which its state was made and migrated, newest first.

defmodule Zoo.Versioned do
  @moduledoc false
  defmacro __using__(_) do
    quote do
      @version String.to_integer(System.get_env("ZOO", "1"))
      @vsn @version
    end
  end
end

defmodule Zoo.Plain do
  use Zoo.Versioned
  use GenServer
  def start_link(name), do: GenServer.start_link(__MODULE__, nil, name: name)
  def init(_), do: {:ok, [@version]}
  def handle_call(:state, _from, s), do: {:reply, s, s}
  def handle_call(:hibernate, _from, s), do: {:reply, :ok, s, :hibernate}
  def code_change(1, s, []), do: {:ok, [@version | s]}
end

defmodule Zoo.Labelled do
  @moduledoc "Wants to be called something else in reports."
  use Zoo.Versioned
  use GenServer
  def start_link({label, name}), do: GenServer.start_link(__MODULE__, label, name: name)

  def init(label) do
    Process.put(:"$initial_call", label)
    {:ok, [@version]}
  end

  def handle_call(:state, _from, s), do: {:reply, s, s}
  def handle_call(:hibernate, _from, s), do: {:reply, :ok, s, :hibernate}
  def code_change(1, s, []), do: {:ok, [@version | s]}
end

defmodule Zoo.Base do
  @moduledoc "A server that hides its callback module, as GenStage does."
  use GenServer
  @callback upgraded(term) :: term
  defstruct [:mod, :inner]

  def start_link({mod, name}), do: GenServer.start_link(__MODULE__, mod, name: name)
  def init(mod), do: {:ok, %__MODULE__{mod: mod, inner: mod.first()}}
  def handle_call(:state, _from, s), do: {:reply, s.inner, s}

  def code_change(old, s, extra) do
    with {:ok, inner} <- s.mod.code_change(old, s.inner, extra), do: {:ok, %{s | inner: inner}}
  end
end

defmodule Zoo.Worker do
  use Zoo.Versioned
  @behaviour Zoo.Base
  def first, do: [@version]
  @impl true
  def upgraded(s), do: s
  def code_change(1, s, []), do: {:ok, [@version | s]}
end

defmodule Zoo.Other do
  @moduledoc "Hidden by the same wrapper, and never changed."
  @behaviour Zoo.Base
  def first, do: [:other]
  @impl true
  def upgraded(s), do: s
  def code_change(_, s, _), do: {:ok, [:wrong | s]}
end

defmodule Zoo.Door do
  use Zoo.Versioned
  @behaviour :gen_statem
  def start_link(name), do: :gen_statem.start_link({:local, name}, __MODULE__, nil, [])
  @impl true
  def callback_mode, do: :handle_event_function
  @impl true
  def init(_), do: {:ok, :closed, [@version]}
  @impl true
  def handle_event({:call, from}, :state, _, data),
    do: {:keep_state_and_data, [{:reply, from, data}]}

  @impl true
  def code_change(1, state, data, []), do: {:ok, state, [@version | data]}
end

defmodule Zoo.Handler do
  use Zoo.Versioned
  @behaviour :gen_event
  @impl true
  def init(_), do: {:ok, [@version]}
  @impl true
  def handle_event(_, s), do: {:ok, s}
  @impl true
  def handle_call(:state, s), do: {:ok, s, s}
  @impl true
  def code_change(1, s, []), do: {:ok, [@version | s]}
end

defmodule Zoo.Store do
  @moduledoc "Agents, by a fun and by a named function."
  use Zoo.Versioned
  def by_fun(name), do: Agent.start_link(fn -> [@version] end, name: name)
  def by_name(name), do: Agent.start_link(__MODULE__, :first, [], name: name)
  def first, do: [@version]
  def get(name), do: Agent.get(name, fn s -> s end)
end

defmodule Zoo.View do
  use Zoo.Versioned
  @behaviour Phoenix.LiveView
  alias Phoenix.LiveView.{Component, Rendered}
  @impl true
  def render(_assigns),
    do: Rendered.new(["view #{@version} ", ""], fn _ -> [Component.new(Zoo.Component, "c")] end)

  # What it renders names static files.
  def code_change(1, socket, []),
    do: {:ok, Phoenix.LiveView.Utils.assign(socket, %{migrated: @version, script: Zoo.Endpoint.script()})}
end

defmodule Zoo.Component do
  use Zoo.Versioned
  @behaviour Phoenix.LiveComponent
  alias Phoenix.LiveView.Rendered
  def mount(socket), do: {:ok, Phoenix.LiveView.Utils.assign(socket, :mounted, @version)}
  @impl true
  def render(assigns),
    do: Rendered.new(["component #{@version} of ", ""], fn _ -> ["#{assigns.mounted}"] end)
end

defmodule Zoo.StillView do
  @moduledoc "A view that does not change itself, but renders what does."
  @behaviour Phoenix.LiveView
  alias Phoenix.LiveView.{Component, Rendered}
  @impl true
  def render(_assigns),
    do: Rendered.new(["", ""], fn _ -> [Component.new(Zoo.Component, "c")] end)
end

defmodule Zoo.Room do
  use Zoo.Versioned
  @behaviour Phoenix.Channel
  @impl true
  def join(_, _, _), do: :ok
  def code_change(1, socket, []), do: {:ok, %{socket | assigns: [@version | socket.assigns]}}
end

defmodule Zoo.Endpoint do
  @behaviour Phoenix.Endpoint
  use Supervisor
  def start_link(_), do: Supervisor.start_link(__MODULE__, nil, name: __MODULE__)

  @impl true
  def init(_) do
    warm()
    Supervisor.init([], strategy: :one_for_one)
  end

  @impl true
  def config_change(_changed, _removed), do: warm()

  def script do
    [[_, script]] = Regex.scan(~r/: "(.*)"/, :persistent_term.get(__MODULE__))
    if File.exists?(Application.app_dir(:zoo, "priv/static/" <> script)), do: script, else: "gone"
  end

  defp warm,
    do:
      :persistent_term.put(
        __MODULE__,
        File.read!(Application.app_dir(:zoo, "priv/static/manifest.json"))
      )
end

defmodule Zoo.Cage do
  @moduledoc "A supervisor whose children change."
  use Zoo.Versioned
  use Supervisor
  def start_link(_), do: Supervisor.start_link(__MODULE__, nil, name: __MODULE__)
  @impl true
  def init(_), do: Supervisor.init([], strategy: :one_for_one, max_restarts: @version)
end

defmodule Zoo.Special do
  @moduledoc "A process of its own kind, which speaks the system protocol."
  use Zoo.Versioned
  def start_link(name), do: :proc_lib.start_link(__MODULE__, :init, [self(), name])

  def init(parent, name) do
    Process.register(self(), name)
    :proc_lib.init_ack(parent, {:ok, self()})
    loop(parent, [@version])
  end

  def loop(parent, s) do
    receive do
      {:system, from, request} -> :sys.handle_system_msg(request, from, parent, __MODULE__, [], s)
      {:"$gen_call", from, :state} -> GenServer.reply(from, s) && loop(parent, s)
    end
  end

  def system_continue(parent, _debug, s), do: loop(parent, s)
  def system_terminate(reason, _, _, _), do: exit(reason)
  def system_code_change(s, _, _, _), do: {:ok, s}
end

if System.get_env("ZOO", "1") == "1" do
  defmodule Zoo.Extinct do
    @moduledoc "Removed in version 2, while a process still runs it."
    def run do
      receive do
        :stop -> :ok
      end

      :not_a_tail_call
    end
  end
else
  defmodule Zoo.Newcomer do
    @moduledoc "Added in version 2."
    def hello, do: "new"
  end
end
