import java.io.BufferedInputStream;
import java.io.BufferedOutputStream;
import java.io.DataInputStream;
import java.io.EOFException;
import java.io.IOException;
import java.io.OutputStream;
import java.nio.charset.StandardCharsets;
import java.nio.file.Files;
import java.util.logging.LogManager;

/** The decoder of the Java SDK, as a program that answers batches of messages on its standard input. */
public final class Main {

	public static void main(String[] arguments) throws Exception {
		LogManager.getLogManager().reset();
		Decoder decoder = new Decoder();
		int port = Http.serve(decoder, Files.createTempDirectory("differential").toFile());
		OutputStream out = new BufferedOutputStream(System.out, 1 << 20);
		out.write(("{\"decoders\":[\"java\"],\"port\":" + port + "}\n").getBytes(StandardCharsets.UTF_8));
		out.flush();
		try {
			answer(decoder, new DataInputStream(new BufferedInputStream(System.in, 1 << 20)), out);
		}
		catch (EOFException end) {
			System.exit(0);
		}
	}

	/** Batches: the number of messages, then each with its length before it. One line per message. */
	private static void answer(Decoder decoder, DataInputStream in, OutputStream out) throws IOException {
		while (true) {
			String[] bodies = new String[size(in)];
			for (int index = 0; index < bodies.length; index++) {
				byte[] body = new byte[size(in)];
				in.readFully(body);
				bodies[index] = new String(body, StandardCharsets.UTF_8);
			}
			for (String body : bodies) {
				out.write(decoder.line(body).getBytes(StandardCharsets.UTF_8));
				out.write('\n');
			}
			out.flush();
		}
	}

	private static int size(DataInputStream in) throws IOException {
		return Integer.reverseBytes(in.readInt());
	}

}
