defmodule FlyDeployAgent.Crash do
  @moduledoc """
  What is told of a process that died with an error: the kind of its exception, and where. Never a value: of an exception only
  what stands in the code as well is told, such as an atom that is a missing key.
  """

  alias FlyDeployAgent.Failure

  @frames 8

  @typedoc "Why a process died, as its exit reason or an error report has it."
  @type reason :: term
  @typedoc "The kind of a crash: a text such as `KeyError :step`, and where it happened, innermost first."
  @type kind :: {binary, [frame]}
  @type frame :: {module, atom, arity, file :: binary | nil, line :: non_neg_integer | nil}

  @doc "Whether a process that ended for this reason did what it was asked to, or was there no more."
  @spec orderly?(reason) :: boolean
  def orderly?(reason) when reason in [:normal, :shutdown, :noproc], do: true
  # A supervisor that could not start a child ends so.
  def orderly?({:shutdown, {:failed_to_start_child, _, _}}), do: false
  def orderly?({:shutdown, _}), do: true
  def orderly?(_reason), do: false

  @doc """
  The crash that an event of the log tells of: which process, why, and whether that process has ended, so that others may tell of
  it too. nil for any other event.
  """
  @spec reported(:logger.log_event()) :: {pid | nil, reason, ended? :: boolean} | nil
  def reported(%{msg: {:report, %{label: label} = report}, meta: meta}), do: reported(label, report, meta)

  # The emulator's own words for a process that no library looks after: with the node's name in between, where it has one.
  def reported(%{msg: {[_ | _] = format, [pid, _ | _] = told}, meta: %{error_logger: %{emulator: true}}})
      when is_pid(pid),
      do: if(:lists.prefix(~c"Error in process", format), do: {pid, List.last(told), true})

  # Elixir's Logger and libraries put the reason beside their text. What OTP's behaviours say ends the process.
  def reported(%{meta: %{crash_reason: {_reason, stack} = reason} = meta}) when is_list(stack),
    do: {meta[:pid], reason, match?([:otp | _], meta[:domain])}

  def reported(_event), do: nil

  defp reported({:gen_server, :terminate}, %{reason: reason}, meta), do: {meta[:pid], reason, true}

  defp reported({:gen_statem, :terminate}, %{reason: {_class, reason, stack}}, meta),
    do: {meta[:pid], {reason, stack}, true}

  # The handler is removed, its manager lives on.
  defp reported({:gen_event, :terminate}, %{reason: reason}, meta), do: {meta[:pid], unwrapped(reason), false}

  defp reported({Task.Supervisor, :terminating}, %{report: %{reason: reason}}, meta),
    do: {meta[:pid], reason, true}

  # Of what a request of cowboy's dies of, its connection tells.
  defp reported({:proc_lib, :crash}, %{report: [info | _]}, _meta) do
    with {_class, reason, stack} <- info[:error_info],
         false <- match?({:cowboy_stream_h, _, _}, info[:initial_call]),
         do: {info[:pid], {reason, stack}, true},
         else: (_ -> nil)
  end

  defp reported(_label, _report, _meta), do: nil

  defp unwrapped({:EXIT, reason}), do: reason
  defp unwrapped(reason), do: reason

  @doc "The kind of a crash."
  @spec kind(reason) :: kind
  def kind({:shutdown, {:failed_to_start_child, _child, reason}}), do: kind(unwrapped(reason))

  def kind({reason, [_ | _] = stack}) when length(stack) > 0 do
    if Enum.all?(stack, &frame?/1),
      do: {raised(reason, stack), stack |> Enum.take(@frames) |> Enum.map(&frame/1)},
      else: {"exit", []}
  end

  # See `FlyDeployAgent.Watch`.
  def kind(:gave_up), do: {"its restart limit was reached", []}
  def kind({reason, []}), do: kind(reason)
  def kind(reason) when is_atom(reason), do: {"exit #{inspect(reason)}", []}

  def kind({reason, {module, fun, args}})
      when is_atom(reason) and is_atom(module) and is_atom(fun) and is_list(args),
      do: {"exit #{inspect(reason)} in #{Exception.format_mfa(module, fun, length(args))}", []}

  def kind(_reason), do: {"exit", []}

  defp raised(reason, stack) do
    with exception when is_exception(exception) <- normalized(reason, stack),
         do: Enum.join([inspect(exception.__struct__) | detail(exception)], " ")
  end

  defp normalized({:nocatch, _thrown}, _stack), do: "throw"
  defp normalized(reason, stack), do: named(Exception.normalize(:error, reason, stack), stack)

  # An exit that came with a stack is no error of the language.
  defp named(%ErlangError{original: original}, [{_, _, _, _} | _]) when is_atom(original),
    do: "exit #{inspect(original)}"

  defp named(%ErlangError{original: {reason, {module, fun, args}}}, _stack)
       when is_atom(reason) and is_atom(module) and is_list(args),
       do: {reason, {module, fun, args}} |> kind() |> elem(0)

  defp named(exception, _stack), do: exception

  defp detail(%KeyError{key: key}) when is_atom(key), do: [inspect(key)]

  defp detail(%{__struct__: error, module: module, function: fun, arity: arity})
       when error in [FunctionClauseError, UndefinedFunctionError] and is_atom(module) and is_atom(fun) and
              is_integer(arity),
       do: [Exception.format_mfa(module, fun, arity)]

  defp detail(_exception), do: []

  defp frame?({m, f, a, l}) when is_atom(m) and is_atom(f) and (is_integer(a) or is_list(a)) and is_list(l),
    do: true

  defp frame?(_), do: false

  defp frame({module, fun, arity, location}) do
    file = location[:file]
    arity = if is_list(arity), do: length(arity), else: arity
    {module, fun, arity, if(file, do: to_string(file)), location[:line]}
  end

  @doc "The file and line of the innermost frame in `module`, or else of the innermost one, as `cart.ex:41`; \"\" where none has a line."
  @spec place([frame], module) :: binary
  def place(frames, module) do
    located =
      for {m, _, _, file, line} when file != nil and line != nil <- frames,
          do: {m, "#{Path.basename(file)}:#{line}"}

    List.keyfind(located, module, 0, List.first(located) || {nil, ""}) |> elem(1)
  end

  @doc "The frames as a stack is written."
  @spec stack([frame]) :: [binary]
  def stack(frames) do
    Failure.stack(
      for {module, fun, arity, file, line} <- frames do
        {module, fun, arity,
         for({key, value} <- [file: file && to_charlist(file), line: line], value, do: {key, value})}
      end
    )
  end
end
